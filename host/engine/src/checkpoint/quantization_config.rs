//! How the linears of a Hugging Face folder are packed, by its `quantization_config`. Which linears are
//! packed at all is not asked here: that is seen by their tensors, as some may always be left plain.

use std::path::Path;

use crate::files::{CheckpointError, Config, Kind};

const MEND: &str = "use AWQ with 4 bits (gemm or gemv), compressed-tensors pack-quantized, an unpacked \
                    checkpoint, or a GGUF file";

/// What the packed linears of a folder are laid out like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuantizationConfig {
    /// AutoAWQ's gemm version, and what linears that look like AWQ are taken for.
    AwqGemm,
    /// AutoAWQ's gemv version. The group can't be derived from the shapes of its padded tensors.
    AwqGemv {
        /// Inputs that share a scale; `None` when all of a row do.
        group: Option<usize>,
    },
    /// compressed-tensors' pack-quantized.
    CompressedTensors,
}

type Result<T> = std::result::Result<T, CheckpointError>;

impl QuantizationConfig {
    /// Reads the section of `config.json`, or the `quant_config.json` that older AWQ folders have.
    pub(super) fn read(folder: &Path, config: &Config) -> Result<Self> {
        let text = config.section("text_config")?;
        for config in [Some(config), text.as_ref()].into_iter().flatten() {
            for key in ["quantization_config", "compression_config"] {
                if let Some(section) = config.section(key)? {
                    return Self::of_section(&section);
                }
            }
        }
        match Config::read(&folder.join("quant_config.json")) {
            Ok(older) => awq(&older, "w_bit", "q_group_size"),
            Err(error) if error.kind == Kind::Missing => Ok(Self::AwqGemm),
            Err(error) => Err(error),
        }
    }

    fn of_section(section: &Config) -> Result<Self> {
        match section.text_opt("quant_method")?.unwrap_or("unknown") {
            "awq" => awq(section, "bits", "group_size"),
            "compressed-tensors" => compressed(section).map(|()| Self::CompressedTensors),
            other => {
                Err(section.unsupported(format!("the packing '{other}' is not supported"), MEND))
            }
        }
    }
}

fn awq(section: &Config, bits: &str, group: &str) -> Result<QuantizationConfig> {
    /// What AutoAWQ writes for "all of a row".
    const WHOLE_ROW: i64 = -1;
    let bits = section.count_opt(bits, 1..=64)?.unwrap_or(4);
    let backend = section.text_opt("backend")?.unwrap_or_default();
    let format = match section.text_opt("version")? {
        Some(version) => Some(version),
        None => section.text_opt("format")?,
    };
    let version = if backend == "llm-awq" { backend } else { format.unwrap_or("gemm") };
    match (version.to_ascii_lowercase().as_str(), bits) {
        ("gemm", 4) => Ok(QuantizationConfig::AwqGemm),
        ("gemv", 4) => {
            let whole = section.value(group).is_some_and(|value| value == WHOLE_ROW);
            let sized = || Ok(section.count_opt(group, 2..=1 << 20)?.unwrap_or(128));
            let group = (!whole).then(sized).transpose()?;
            Ok(QuantizationConfig::AwqGemv { group })
        }
        (version, bits) => {
            let problem = format!("AWQ {version} with {bits} bits is not supported");
            Err(section.unsupported(problem, MEND))
        }
    }
}

fn compressed(section: &Config) -> Result<()> {
    let Some(foreign) = foreign(section)? else { return Ok(()) };
    Err(section.unsupported(format!("compressed-tensors {foreign} is not supported"), MEND))
}

/// What a section asks of compressed-tensors besides packing 4 or 8 bits, if anything.
fn foreign(section: &Config) -> Result<Option<String>> {
    let format = section.text_opt("format")?.unwrap_or("pack-quantized");
    if !matches!(format, "pack-quantized" | "dense" | "mixed-precision") {
        return Ok(Some(format!("'{format}'")));
    }
    if let Some(sparsity) = section.section("sparsity_config")? {
        let format = sparsity.text_opt("format")?.unwrap_or("dense");
        if format != "dense" {
            return Ok(Some(format!("sparsity '{format}'")));
        }
    }
    if let Some(transforms) = section.section("transform_config")? {
        let groups = transforms.section("config_groups")?;
        if groups.is_some_and(|groups| groups.keys().next().is_some()) {
            return Ok(Some("with transforms of weights".into()));
        }
    }
    let Some(groups) = section.section("config_groups")? else { return Ok(None) };
    for name in groups.keys() {
        let group = groups.section(name)?;
        let foreign = group.as_ref().map(foreign_group).transpose()?.flatten();
        if foreign.is_some() {
            return Ok(foreign);
        }
    }
    Ok(None)
}

/// The same of one group of linears.
fn foreign_group(group: &Config) -> Result<Option<String>> {
    let format = group.text_opt("format")?.unwrap_or("pack-quantized");
    if !matches!(format, "pack-quantized" | "dense") {
        return Ok(Some(format!("'{format}'")));
    }
    let Some(weights) = group.section("weights")? else { return Ok(None) };
    let kind = weights.text_opt("type")?.unwrap_or("int");
    let bits = weights.count_opt("num_bits", 1..=64)?.unwrap_or(8);
    let strategy = weights.text_opt("strategy")?.unwrap_or("group");
    let ordered = weights.value("actorder").is_some_and(|order| order == "group" || order == true);
    Ok(match (kind, bits, strategy) {
        _ if ordered => Some("with act-order".into()),
        ("int", 4 | 8, "group" | "channel") => None,
        ("int", 4 | 8, strategy) => Some(format!("with the strategy '{strategy}'")),
        (kind, bits, _) => Some(format!("with weights of {bits} bits of '{kind}'")),
    })
}
