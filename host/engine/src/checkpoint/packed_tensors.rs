//! Finding the tensors of packed linears, and holding their shapes against one another. Which of them a
//! linear has says how it is packed; where names are the same, the configuration does.

use signalbox_kernels::Format;

use super::{quantization_config::QuantizationConfig, repack::Layout, tensors::Tensors};
use crate::files::{CheckpointError, Element, Entry, Kind};

type Result<T> = std::result::Result<T, CheckpointError>;

/// The tensors of a packed linear, shapes and types checked.
#[derive(Debug)]
pub(super) struct PackedTensors {
    /// What lies beside what in them.
    pub(super) layout: Layout,
    /// Words of weights.
    pub(super) weights: Entry,
    /// Words of zero points.
    pub(super) zeros: Option<Entry>,
    /// Plain numbers.
    pub(super) scales: Entry,
    /// Which numbers the scales are.
    pub(super) scale: Format,
    /// Two numbers that say the shape of the whole.
    pub(super) shape: Option<Entry>,
    /// Outputs of the whole.
    pub(super) rows: usize,
    /// Inputs that share a scale.
    pub(super) group: usize,
}

/// The packed form of the linear `name` of `rows` outputs and `cols` inputs, if that is what the file has.
pub(super) fn find(
    tensors: Tensors<'_>,
    config: Option<QuantizationConfig>,
    name: &str,
    [rows, cols]: [usize; 2],
) -> Result<Option<(Format, PackedTensors)>> {
    let packed = if tensors.catalogue.has(&format!("{name}.weight_packed")) {
        tensors.compressed_tensors(name, rows, cols)?
    } else if tensors.catalogue.has(&format!("{name}.qweight")) {
        match config {
            Some(QuantizationConfig::AwqGemv { group }) => {
                tensors.gemv(name, rows, cols, group.unwrap_or(cols))?
            }
            _ => tensors.gemm(name, rows, cols)?,
        }
    } else {
        return Ok(None);
    };
    Ok(Some((packed.layout.format(packed.group, packed.scale), packed)))
}

impl Tensors<'_> {
    fn gemm(&self, name: &str, rows: usize, cols: usize) -> Result<PackedTensors> {
        let [weights, zeros, scales] = self.awq(name)?;
        let groups = scales.shape.first().copied().unwrap_or_default();
        let group = cols.checked_div(groups).unwrap_or_default();
        let fits = weights.shape == [cols, rows / 8]
            && zeros.shape == [groups, rows / 8]
            && scales.shape == [groups, rows]
            && rows.is_multiple_of(8);
        if !fits || !is_whole(cols, group, groups) || !group.is_multiple_of(2) {
            let shapes = format!(
                "qweight {:?}, qzeros {:?} and scales {:?} are not AWQ's gemm layout of it",
                weights.shape, zeros.shape, scales.shape
            );
            let mend = "use a checkpoint that AutoAWQ wrote with version \"gemm\"";
            return Err(self.misfit(weights, name, [rows, cols], &shapes, mend));
        }
        self.check_awq(name, Layout::AwqGemm, [weights, zeros, scales], rows, group)
    }

    fn gemv(&self, name: &str, rows: usize, cols: usize, group: usize) -> Result<PackedTensors> {
        let [weights, zeros, scales] = self.awq(name)?;
        let width = zeros.shape.last().copied().unwrap_or_default();
        let groups = cols / group;
        let fits = weights.shape == [rows, cols / 8]
            && zeros.shape == [rows, width]
            && scales.shape == [rows, width.saturating_mul(8)]
            && cols.is_multiple_of(8)
            && groups <= width.saturating_mul(8);
        if !fits || !is_whole(cols, group, groups) || !group.is_multiple_of(2) {
            let shapes = format!(
                "qweight {:?}, qzeros {:?} and scales {:?} are not AWQ's gemv layout of it in groups \
                 of {group}",
                weights.shape, zeros.shape, scales.shape
            );
            let mend = "use a checkpoint that AutoAWQ wrote with version \"gemv\"";
            return Err(self.misfit(weights, name, [rows, cols], &shapes, mend));
        }
        self.check_awq(name, Layout::AwqGemv { width }, [weights, zeros, scales], rows, group)
    }

    fn awq(&self, name: &str) -> Result<[&Entry; 3]> {
        let [weights, zeros, scales] =
            ["qweight", "qzeros", "scales"].map(|suffix| self.present(&format!("{name}.{suffix}")));
        Ok([weights?, zeros?, scales?])
    }

    fn check_awq(
        &self,
        name: &str,
        layout: Layout,
        [weights, zeros, scales]: [&Entry; 3],
        rows: usize,
        group: usize,
    ) -> Result<PackedTensors> {
        self.expect_element(&format!("{name}.qweight"), weights, &Element::Words)?;
        self.expect_element(&format!("{name}.qzeros"), zeros, &Element::Words)?;
        let scale = self.plain(&format!("{name}.scales"), scales)?;
        let [weights, zeros, scales] = [weights, zeros, scales].map(Entry::clone);
        Ok(PackedTensors {
            layout,
            weights,
            zeros: Some(zeros),
            scales,
            scale,
            shape: None,
            rows,
            group,
        })
    }

    fn compressed_tensors(&self, name: &str, rows: usize, cols: usize) -> Result<PackedTensors> {
        let tensor = |suffix: &str| format!("{name}.{suffix}");
        let optional = |suffix: &str| self.catalogue.tensors.get(&tensor(suffix));
        let weights = self.present(&tensor("weight_packed"))?;
        let scales = self.present(&tensor("weight_scale"))?;
        let (zeros, shape) = (optional("weight_zero_point"), optional("weight_shape"));
        if let Some(order) = optional("weight_g_idx") {
            let problem = format!("'{}' orders inputs by activation", tensor("weight_g_idx"));
            let mend = "use a checkpoint that was quantised without act-order";
            let file = self.catalogue.file(order);
            return Err(CheckpointError::new(Kind::Unsupported, file, problem, mend));
        }
        let groups = scales.shape.last().copied().unwrap_or_default();
        let group = cols.checked_div(groups).unwrap_or_default();
        let bits = [4, 8].into_iter().find(|bits| {
            let per_word = (u32::BITS / bits) as usize;
            weights.shape == [rows, cols.div_ceil(per_word)]
                && zeros.is_none_or(|zeros| zeros.shape == [rows.div_ceil(per_word), groups])
        });
        let fits = |bits: u32| {
            scales.shape == [rows, groups]
                && is_whole(cols, group, groups)
                && (bits == 8 || group.is_multiple_of(2))
        };
        let Some(bits) = bits.filter(|bits| fits(*bits)) else {
            let zeros =
                zeros.map_or(String::new(), |z| format!(", weight_zero_point {:?}", z.shape));
            let shapes = format!(
                "weight_packed {:?}{zeros} and weight_scale {:?} are not compressed-tensors' \
                 pack-quantized layout of it in 4 or 8 bits",
                weights.shape, scales.shape
            );
            let mend =
                "use a checkpoint in the format \"pack-quantized\" with group or channel scales";
            return Err(self.misfit(weights, name, [rows, cols], &shapes, mend));
        };
        self.expect_element(&tensor("weight_packed"), weights, &Element::Words)?;
        if let Some(zeros) = zeros {
            self.expect_element(&tensor("weight_zero_point"), zeros, &Element::Words)?;
        }
        let scale = self.plain(&tensor("weight_scale"), scales)?;
        let layout = Layout::CompressedTensors { bits };
        let (weights, scales) = (weights.clone(), scales.clone());
        let (zeros, shape) = (zeros.cloned(), shape.cloned());
        Ok(PackedTensors { layout, weights, zeros, scales, scale, shape, rows, group })
    }

    fn misfit(
        &self,
        entry: &Entry,
        name: &str,
        [rows, cols]: [usize; 2],
        shapes: &str,
        mend: &str,
    ) -> CheckpointError {
        let problem = format!("'{name}' is {rows} x {cols}, but {shapes}");
        CheckpointError::new(Kind::Unsupported, self.catalogue.file(entry), problem, mend)
    }
}

fn is_whole(cols: usize, group: usize, groups: usize) -> bool {
    group > 0 && groups.checked_mul(group) == Some(cols)
}
