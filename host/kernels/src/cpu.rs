//! Picks the widest instructions the machine has. A kernel's body is written once, in safe code that
//! LLVM can vectorise, and compiled once for the baseline and once for AVX2 with FMA. On aarch64 the
//! baseline already has both wide registers and fused multiply-add.

/// A kernel's arguments and the code over them. `run` and all it calls must be `#[inline(always)]`: what
/// is not inlined is compiled for the baseline. Closures can't be, so inner loops do without.
pub(crate) trait Body {
    /// Does the work; `FMA` says that a fused multiply-add costs no more than a multiplication.
    fn run<const FMA: bool>(self);
}

/// Runs `body` as it is written: the meaning that every faster way is held against.
pub(crate) fn plainest(body: impl Body) {
    body.run::<false>();
}

/// Runs `body` with the best instructions there are.
pub(crate) fn fastest(body: impl Body) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        #[expect(
            unsafe_code,
            reason = "the one call into code compiled for optional instructions"
        )]
        // SAFETY: both features `avx2_fma` is compiled with were just found on this machine.
        return unsafe { avx2_fma(body) };
    }
    body.run::<{ cfg!(target_arch = "aarch64") }>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2_fma(body: impl Body) {
    body.run::<true>();
}

/// `a * b + c`, in one rounding where that is cheap.
#[inline(always)]
fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Lanes of a wide register, and how many registers of partial sums hide the latency of an addition.
const LANES: usize = 8;
const REGISTERS: usize = 4;

/// Sum of products, always in the same order for the same length.
#[inline(always)]
pub(crate) fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let (a_chunks, a_rest) = a.as_chunks::<{ LANES * REGISTERS }>();
    let (b_chunks, b_rest) = b.as_chunks::<{ LANES * REGISTERS }>();
    let mut sums = [[0.0f32; LANES]; REGISTERS];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for (register, sums) in sums.iter_mut().enumerate() {
            for (lane, sum) in sums.iter_mut().enumerate() {
                let at = register * LANES + lane;
                *sum = multiply_add::<FMA>(a[at], b[at], *sum);
            }
        }
    }
    // The rest has a sum of its own: an index into `sums` would keep them out of registers.
    let mut rest = 0.0;
    for (a, b) in a_rest.iter().zip(b_rest) {
        rest = multiply_add::<FMA>(*a, *b, rest);
    }
    let [first, second, third, fourth] = sums;
    let mut lanes = first;
    for (lane, sum) in lanes.iter_mut().enumerate() {
        *sum = (first[lane] + second[lane]) + (third[lane] + fourth[lane]);
    }
    lanes.iter().sum::<f32>() + rest
}

/// `out += factor * x`.
#[inline(always)]
pub(crate) fn add_scaled<const FMA: bool>(out: &mut [f32], factor: f32, x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = multiply_add::<FMA>(factor, *x, *out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dot<'a>(&'a [f32], &'a [f32], &'a mut f32);

    impl Body for Dot<'_> {
        #[inline(always)]
        fn run<const FMA: bool>(self) {
            *self.2 = dot::<FMA>(self.0, self.1);
        }
    }

    #[test]
    fn dot_agrees_with_the_plain_sum_at_every_length() {
        for len in 0..100 {
            let a: Vec<f32> = (0..len).map(|i| (i as f32 * 0.37).sin()).collect();
            let b: Vec<f32> = (0..len).map(|i| (i as f32 * 0.11).cos()).collect();
            let plain: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            let mut best = 0.0;
            fastest(Dot(&a, &b, &mut best));
            assert!((f64::from(best) - plain).abs() < 1e-5, "length {len}: {best} for {plain}");
            assert!((f64::from(dot::<false>(&a, &b)) - plain).abs() < 1e-5, "length {len}");
        }
    }
}
