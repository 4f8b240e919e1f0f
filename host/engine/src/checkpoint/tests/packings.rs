//! A packed linear says what its weights would say if they were plain f32, bit for bit; quantising while
//! loading says nearly the same.

use std::fs;

use serde_json::{Value, json};
use signalbox_kernels::{Compute, Rows};

use super::{
    super::{Bits, Checkpoint, quantise},
    files::{Tensor, safetensors},
    logits, logits_of,
    small::Small,
};

const AWQ_ORDER: [usize; 8] = [0, 2, 4, 6, 1, 3, 5, 7];
const PLAIN_ORDER: [usize; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

/// A linear before it is packed.
struct Quants {
    name: String,
    rows: usize,
    cols: usize,
    group: usize,
    /// (rows, cols)
    quants: Vec<u32>,
    /// (rows, groups)
    zeros: Vec<u32>,
    /// (rows, groups)
    scales: Vec<f32>,
}

impl Quants {
    fn new(name: &str, [rows, cols]: [usize; 2], group: usize, levels: u32) -> Self {
        let seed = name.bytes().map(u32::from).sum::<u32>();
        let pick = |i: usize| (i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 13;
        let groups = cols / group;
        Self {
            name: name.trim_end_matches(".weight").to_owned(),
            rows,
            cols,
            group,
            quants: (0..rows * cols).map(|i| pick(i) % levels).collect(),
            zeros: (0..rows * groups).map(|i| levels / 2 + pick(i) % 3 - 1).collect(),
            scales: (0..rows * groups)
                .map(|i| (1 + pick(i) % 7) as f32 / (16 * levels) as f32)
                .collect(),
        }
    }

    fn groups(&self) -> usize {
        self.cols / self.group
    }

    /// `(q - zero) * scale` as a tensor of f32.
    fn plain(&self) -> Tensor {
        let weight = |i: usize| {
            let group = i / self.cols * self.groups() + i % self.cols / self.group;
            (self.quants[i] as f32 - self.zeros[group] as f32) * self.scales[group]
        };
        let numbers: Vec<f32> = (0..self.quants.len()).map(weight).collect();
        Tensor::f32(&format!("{}.weight", self.name), &[self.rows, self.cols], &numbers)
    }

    fn tensor(&self, suffix: &str, dtype: &'static str, shape: &[usize], bytes: Vec<u8>) -> Tensor {
        Tensor { name: format!("{}.{suffix}", self.name), dtype, shape: shape.to_vec(), bytes }
    }

    fn scale_bytes(&self, dtype: &str, numbers: impl Iterator<Item = f32>) -> Vec<u8> {
        numbers
            .flat_map(|number| match dtype {
                "F16" => half::f16::from_f32(number).to_le_bytes().to_vec(),
                "BF16" => half::bf16::from_f32(number).to_le_bytes().to_vec(),
                _ => number.to_le_bytes().to_vec(),
            })
            .collect()
    }

    fn gemm(&self) -> Vec<Tensor> {
        let (rows, cols, groups) = (self.rows, self.cols, self.groups());
        let weights = words(cols, rows, 8, AWQ_ORDER, |col, row| self.quants[row * cols + col]);
        let zeros = words(groups, rows, 8, AWQ_ORDER, |g, row| self.zeros[row * groups + g]);
        let scales = (0..groups).flat_map(|g| (0..rows).map(move |row| row * groups + g));
        let scales = self.scale_bytes("F16", scales.map(|at| self.scales[at]));
        vec![
            self.tensor("qweight", "I32", &[cols, rows / 8], weights),
            self.tensor("qzeros", "I32", &[groups, rows / 8], zeros),
            self.tensor("scales", "F16", &[groups, rows], scales),
        ]
    }

    fn gemv(&self) -> Vec<Tensor> {
        let (rows, cols, groups) = (self.rows, self.cols, self.groups());
        let width = zeros_width(cols, self.group);
        let weights = words(rows, cols, 8, PLAIN_ORDER, |row, col| self.quants[row * cols + col]);
        let padded = |row: usize, g: usize| if g < groups { row * groups + g } else { usize::MAX };
        let zeros = words(rows, 8 * width, 8, PLAIN_ORDER, |row, g| {
            self.zeros.get(padded(row, g)).copied().unwrap_or_default()
        });
        let scales = (0..rows).flat_map(|row| (0..8 * width).map(move |g| padded(row, g)));
        let scales = scales.map(|at| self.scales.get(at).copied().unwrap_or_default());
        vec![
            self.tensor("qweight", "I32", &[rows, cols / 8], weights),
            self.tensor("qzeros", "I32", &[rows, width], zeros),
            self.tensor("scales", "F16", &[rows, 8 * width], self.scale_bytes("F16", scales)),
        ]
    }

    fn compressed(&self, bits: usize, symmetric: bool, dtype: &'static str) -> Vec<Tensor> {
        let (rows, cols, groups, per) = (self.rows, self.cols, self.groups(), 32 / bits);
        let weights = words(rows, cols, per, PLAIN_ORDER, |row, col| self.quants[row * cols + col]);
        let scales = self.scale_bytes(dtype, self.scales.iter().copied());
        let shape = [rows, cols].map(|side| (side as u64).to_le_bytes());
        let mut tensors = vec![
            self.tensor("weight_packed", "I32", &[rows, cols.div_ceil(per)], weights),
            self.tensor("weight_scale", dtype, &[rows, groups], scales),
            self.tensor("weight_shape", "I64", &[2], shape.as_flattened().to_vec()),
        ];
        if !symmetric {
            // Words of outputs: one row of words for every `per` rows.
            let by_group = |g: usize, row: usize| self.zeros.get(row * groups + g).copied();
            let zeros: Vec<u8> = (0..rows.div_ceil(per))
                .flat_map(|word| (0..groups).map(move |g| (word, g)))
                .flat_map(|(word, g)| {
                    let zero = |i: usize| by_group(g, word * per + i).unwrap_or_default();
                    (0..per).fold(0u32, |sum, i| sum | zero(i) << (bits * i)).to_le_bytes()
                })
                .collect();
            let shape = [rows.div_ceil(per), groups];
            tensors.push(self.tensor("weight_zero_point", "I32", &shape, zeros));
        }
        tensors
    }
}

/// As `calculate_zeros_width` in AutoAWQ.
fn zeros_width(cols: usize, group: usize) -> usize {
    let several = match group {
        128.. => 1,
        64 => 2,
        _ => 4,
    };
    (cols / group).div_ceil(8).div_ceil(several) * several
}

/// `outer` rows of words over `inner` numbers, `per` to a word.
fn words(
    outer: usize,
    inner: usize,
    per: usize,
    order: [usize; 8],
    number: impl Fn(usize, usize) -> u32,
) -> Vec<u8> {
    let word = |outer: usize, word: usize| {
        let lanes = order[..per].iter().enumerate();
        lanes.fold(0, |sum, (i, lane)| sum | number(outer, word * per + lane) << (32 / per * i))
    };
    let places = (0..outer).flat_map(|o| (0..inner.div_ceil(per)).map(move |w| (o, w)));
    places.flat_map(|(o, w)| word(o, w).to_le_bytes()).collect()
}

/// Replaces the linears of a small model by packed ones, and by what those would be in f32. `keep` names
/// linears that stay plain.
fn check(
    model: &Small,
    packing: &Value,
    stored: &str,
    [group, levels]: [usize; 2],
    keep: &str,
    pack: impl Fn(&Quants) -> Vec<Tensor>,
) {
    let [mut plain, mut packed] = [model.clone(), model.clone()];
    let is_linear =
        |tensor: &Tensor| tensor.name.contains("_proj.weight") && !tensor.name.contains(keep);
    packed.tensors.retain(|tensor| !is_linear(tensor));
    for tensor in plain.tensors.iter_mut().filter(|tensor| is_linear(tensor)) {
        let [rows, cols] = tensor.shape[..] else { panic!("{}", tensor.name) };
        let group = if group == 0 { cols } else { group };
        let quants = Quants::new(&tensor.name, [rows, cols], group, levels as u32);
        packed.tensors.extend(pack(&quants));
        *tensor = quants.plain();
    }
    packed.config["quantization_config"] = packing.clone();
    let [a, b] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    plain.write_folder(a.path());
    packed.write_folder(b.path());
    let checkpoint = Checkpoint::open(b.path()).unwrap_or_else(|error| panic!("{stored}: {error}"));
    assert_eq!(checkpoint.stored().to_string(), stored, "{packing}");
    assert_eq!(logits(a.path()), logits(b.path()), "{stored}, {packing}");
}

#[test]
fn awq_gemm_and_gemv_are_exact_in_groups_of_every_size() {
    for (size, group) in [(32, 32), (16, 16), (-1, 0)] {
        let shown = if group == 0 { 64 } else { group };
        for (version, pack) in [
            ("gemm", &(|quants: &Quants| quants.gemm()) as &dyn Fn(&Quants) -> Vec<Tensor>),
            ("GEMV", &|quants: &Quants| quants.gemv()),
        ] {
            let packing = json!({
                "quant_method": "awq", "bits": 4, "group_size": size, "version": version,
                "zero_point": true, "modules_to_not_convert": ["o_proj"],
            });
            for model in [Small::llama(), Small::phi3()] {
                let stored = format!("awq int4 g{shown}");
                check(&model, &packing, &stored, [group, 16], "o_proj", pack);
            }
        }
    }
}

#[test]
fn compressed_tensors_are_exact_whatever_their_scales() {
    let scheme = |bits: usize, group: Option<usize>, symmetric: bool| {
        let strategy = if group.is_some() { "group" } else { "channel" };
        let weights = json!({
            "num_bits": bits, "type": "int", "symmetric": symmetric, "strategy": strategy,
            "group_size": group, "actorder": null,
        });
        json!({
            "quant_method": "compressed-tensors", "format": "pack-quantized", "ignore": ["lm_head"],
            "config_groups": { "group_0": { "targets": ["Linear"], "weights": weights } },
        })
    };
    for dtype in ["F16", "BF16", "F32"] {
        for group in [Some(32), Some(16), None] {
            for (bits, levels) in [(4, 16), (8, 256)] {
                let stored = format!("compressed-tensors int{bits} g{}", group.unwrap_or(64));
                let size = [group.unwrap_or(0), levels];
                check(&Small::phi3(), &scheme(bits, group, false), &stored, size, "down", |q| {
                    q.compressed(bits, false, dtype)
                });
            }
        }
    }
}

#[test]
fn compressed_tensors_without_zero_points_are_centred() {
    let model = Small::llama();
    let mut packed = model.clone();
    let mut plain = model.clone();
    packed.tensors.retain(|tensor| !tensor.name.contains("_proj.weight"));
    for tensor in plain.tensors.iter_mut().filter(|tensor| tensor.name.contains("_proj.weight")) {
        let mut quants = Quants::new(&tensor.name, [tensor.shape[0], tensor.shape[1]], 32, 16);
        quants.zeros.fill(8);
        packed.tensors.extend(quants.compressed(4, true, "BF16"));
        *tensor = quants.plain();
    }
    packed.config["quantization_config"] = json!({ "quant_method": "compressed-tensors" });
    let [a, b] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    plain.write_folder(a.path());
    packed.write_folder(b.path());
    assert_eq!(logits(a.path()), logits(b.path()));
}

#[test]
fn the_older_quant_config_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = Small::llama();
    let linears: Vec<Tensor> =
        model.tensors.iter().filter(|t| t.name.contains("_proj.weight")).cloned().collect();
    model.tensors.retain(|tensor| !tensor.name.contains("_proj.weight"));
    for tensor in &linears {
        let quants = Quants::new(&tensor.name, [tensor.shape[0], tensor.shape[1]], 32, 16);
        model.tensors.extend(quants.gemv());
    }
    model.write_folder(folder.path());
    let write = |version: &str| {
        let older = json!({
            "w_bit": 4, "q_group_size": 32, "zero_point": true, "version": version,
        });
        fs::write(folder.path().join("quant_config.json"), older.to_string()).unwrap();
        Checkpoint::open(folder.path())
    };
    assert_eq!(write("GEMV").unwrap().stored().to_string(), "awq int4 g32");
    let error = write("GEMM").err().unwrap().to_string();
    assert!(error.contains("are not AWQ's gemm layout"), "{error}");
    let error = write("GEMV_FAST").err().unwrap().to_string();
    assert!(error.contains("quant_config.json: AWQ gemv_fast with 4 bits"), "{error}");
}

/// What a linear is when it was quantised and read again.
fn rounded(tensor: &Tensor, bits: Bits) -> Tensor {
    let cols = tensor.shape[1];
    let format = quantise::format(bits, cols).unwrap();
    let mut row = vec![0.0; cols];
    let mut numbers = Vec::new();
    for plain in tensor.numbers().chunks(cols) {
        let mut packed = Vec::new();
        quantise::push_row(format, plain, &mut packed);
        Rows::new(format, 1, cols, packed).unwrap().decode(0, &mut row);
        numbers.extend_from_slice(&row);
    }
    Tensor::f32(&tensor.name, &tensor.shape, &numbers)
}

#[test]
fn plain_linears_are_quantised_while_they_are_loaded() {
    for (bits, stored) in [
        (Bits::Four, "int4 g64 (quantised while loading from bf16)"),
        (Bits::Eight, "q8_0 (quantised while loading from bf16)"),
    ] {
        let [mut plain, mut expect] = [Small::phi3(), Small::phi3()];
        for (plain, expect) in plain.tensors.iter_mut().zip(&mut expect.tensors) {
            let bfloats = plain.numbers().into_iter().map(half::bf16::from_f32);
            let exact: Vec<f32> = bfloats.clone().map(half::bf16::to_f32).collect();
            *expect = Tensor::f32(&plain.name, &plain.shape, &exact);
            if plain.name.contains("_proj.weight") {
                *expect = rounded(expect, bits);
            }
            (plain.dtype, plain.bytes) = ("BF16", bfloats.flat_map(|b| b.to_le_bytes()).collect());
        }
        let [a, b] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        plain.write_folder(a.path());
        expect.write_folder(b.path());
        let checkpoint = Checkpoint::open(a.path()).unwrap().quantised(Some(bits));
        assert_eq!(checkpoint.stored().to_string(), stored);
        assert_eq!(
            logits_of(&checkpoint.load(&Compute::scalar()).unwrap()),
            logits(b.path()),
            "{stored}"
        );
    }
}

#[test]
fn what_is_packed_is_not_quantised_again() {
    let folder = super::copy("qwen_coder");
    let packed = Checkpoint::open(folder.path()).unwrap();
    let bytes = packed.weight_bytes();
    let again = packed.quantised(Some(Bits::Eight));
    assert_eq!(
        (again.stored().to_string().as_str(), again.weight_bytes()),
        ("awq int4 g128", bytes)
    );
}

#[test]
fn embeddings_heads_and_norms_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let model = Small::llama();
    fs::write(folder.path().join("model.safetensors"), safetensors(&model.tensors)).unwrap();
    fs::write(folder.path().join("config.json"), model.config.to_string()).unwrap();
    let open = |bits| Checkpoint::open(folder.path()).unwrap().quantised(bits).weight_bytes();
    let linears = model.tensors.iter().filter(|tensor| tensor.name.contains("_proj"));
    let linears: u64 = linears.map(|tensor| tensor.bytes.len() as u64).sum();
    assert_eq!(open(None) - open(Some(Bits::Eight)), linears - linears / 4 * 34 / 32);
}
