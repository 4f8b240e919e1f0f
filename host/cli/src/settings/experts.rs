//! `experts[]`, `lazy_loading` and `memory`: which experts there are and when they are in memory.

use std::{collections::BTreeSet, time::Duration};

use signalbox_engine::{
    DType, ExpertSettings, FleetLimits, FleetSettings, KeepAlive, KvCacheDType, LazyLoading,
    NoTime, PackFiles, Quantization, TemplateLimits, Templates,
};

use super::{
    policies::Deployment,
    surroundings::{Machine, Places},
};
use crate::{
    builtin::{DEFAULT_ROUTER, ROUTER_DOMAINS, ROUTER_DOMAINS_ALSO},
    config::Section,
    confined::Work,
};

/// Experts of one host.
const EXPERTS_MAX: usize = 64;
/// Bytes of an expert's id; it stands in URLs, headers and metric labels.
const ID_BYTES_MAX: usize = 64;
/// The id clients use for "the router decides".
const RESERVED_ID: &str = "auto";
/// Sequences of one expert that run at once, when `max_num_seqs` is absent.
const SEQUENCES_DEFAULT: u32 = 64;
/// Experts loaded at start, when `warmup_pool_size` is absent.
const WARM_POOL_DEFAULT: u32 = 2;
/// Share of the machine's memory for experts, when `memory_threshold` is absent.
const MEMORY_SHARE_DEFAULT: f64 = 0.8;
/// Less memory than this holds no expert at all.
const MEMORY_BYTES_MIN: u64 = 1 << 20;
/// Idle seconds before an expert is unloaded, when `auto_unload_after_s` is absent.
const IDLE_SECONDS_DEFAULT: u32 = 300;
/// A year, the longest time that can be set.
const IDLE_SECONDS_MAX: u32 = 31_536_000;

const QUANTIZATIONS: &[(&str, Option<Quantization>)] = &[
    ("awq", Some(Quantization::Awq)),
    ("awq_marlin", Some(Quantization::Awq)),
    ("gptq", Some(Quantization::Gptq)),
    ("gptq_marlin", Some(Quantization::Gptq)),
    ("compressed-tensors", Some(Quantization::CompressedTensors)),
    ("int4", Some(Quantization::Int4)),
    ("int8", Some(Quantization::Int8)),
    ("gguf", None),
    ("q4_0", None),
    ("q8_0", None),
    ("none", None),
];

const DTYPES: &[(&str, DType)] = &[
    ("auto", DType::Auto),
    ("float16", DType::Float16),
    ("half", DType::Float16),
    ("bfloat16", DType::BFloat16),
    ("float32", DType::Float32),
    ("float", DType::Float32),
];

const KV_CACHE_DTYPES: &[(&str, KvCacheDType)] = &[
    ("auto", KvCacheDType::Auto),
    ("f16", KvCacheDType::Float16),
    ("float16", KvCacheDType::Float16),
    ("half", KvCacheDType::Float16),
    ("int8", KvCacheDType::Int8),
    ("fp8", KvCacheDType::Fp8),
    ("fp8_e4m3", KvCacheDType::Fp8),
    ("fp8_e5m2", KvCacheDType::Fp8),
    ("f32", KvCacheDType::Float32),
    ("float32", KvCacheDType::Float32),
];

/// Reads the engine's settings.
pub(super) fn read(
    (root, sections): (&Section<'_>, Vec<Section<'_>>),
    limits: &Section<'_>,
    places: &Places<'_>,
    machine: Machine,
    policies: &Deployment,
) -> FleetSettings {
    if sections.is_empty() || sections.len() > EXPERTS_MAX {
        root.mistake("experts", format!("must list 1 to {EXPERTS_MAX} experts"));
    }
    let router = policies.pipeline.as_ref().map(|pipeline| pipeline.route.as_deref());
    let built_in = router.is_none_or(|name| name == Some(DEFAULT_ROUTER));
    let mut taken = BTreeSet::new();
    let memory = root.section("memory");
    let kv_bytes = size(&memory, "kv");
    let expert = |section| {
        let mut expert = expert(section, places, &mut taken)?;
        expert.kv_bytes = expert.kv_bytes.or(kv_bytes);
        if built_in {
            warn_of_domain(section, &expert);
        }
        Some(expert)
    };
    let experts: Vec<_> = sections.iter().filter_map(expert).collect();
    let lazy = root.section("lazy_loading");
    let speculative = root.section("speculative_routing").flag("enabled").unwrap_or(true);
    let share = lazy.number("memory_threshold", 0.05..=1.0).unwrap_or(MEMORY_SHARE_DEFAULT);
    FleetSettings {
        lazy_loading: lazy_loading(&lazy, experts.len(), speculative),
        memory_bytes_max: memory_bytes_max(&memory, share, machine),
        limits: fleet_limits(limits),
        templates: templates(limits),
        pack_files: PackFiles::Off,
        experts,
    }
}

fn fleet_limits(section: &Section<'_>) -> FleetLimits {
    let mut limits = FleetLimits::default();
    section.limits(&mut limits);
    limits
}

/// Templates are programs of strangers, so they are always rendered in children.
fn templates(section: &Section<'_>) -> Templates {
    let mut limits = TemplateLimits::default();
    section.limits(&mut limits);
    Templates::Child { program: Work::Template.program(), limits }
}

fn expert<'s>(
    section: &Section<'s>,
    places: &Places<'_>,
    taken: &mut BTreeSet<&'s str>,
) -> Option<ExpertSettings> {
    let id = id(section);
    if id.is_some_and(|id| !taken.insert(id)) {
        section.mistake("expert_id", "is taken; every expert needs an id of its own");
    }
    let path = section.text("model_path").filter(|path| !path.is_empty());
    if path.is_none() {
        section.mistake("model_path", "is missing; name a Hugging Face folder or a GGUF file");
    }
    let owned = |key| section.text(key).unwrap_or_default().to_owned();
    let settings = ExpertSettings {
        domain: section.text("domain").unwrap_or("general").to_owned(),
        description: owned("description"),
        use_cases: section.texts("use_cases"),
        priority: section.integer("priority", -1000..=1000).unwrap_or(1),
        quantization: section.choice("quantization", QUANTIZATIONS).flatten(),
        dtype: section.choice("dtype", DTYPES).unwrap_or_default(),
        kv_cache_dtype: section.choice("kv_cache_dtype", KV_CACHE_DTYPES).unwrap_or_default(),
        kv_bytes: size(section, "kv_cache_memory"),
        prompt_lookup: section.flag("prompt_lookup").unwrap_or(true),
        max_model_len: section.integer("max_model_len", 16..=16_777_216),
        max_num_seqs: section.integer("max_num_seqs", 1..=65_536).unwrap_or(SEQUENCES_DEFAULT),
        pinned: section.flag("pinned").unwrap_or(false),
        keep_alive: keep_alive(section),
        id: id.unwrap_or_default().to_owned(),
        path: places.find(path.unwrap_or_default()),
    };
    (id.is_some() && path.is_some()).then_some(settings)
}

/// The expert's id, when it is one.
fn id<'s>(section: &Section<'s>) -> Option<&'s str> {
    let id = section.text("expert_id").unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if id.is_empty() || id.len() > ID_BYTES_MAX || !id.chars().all(plain) {
        let problem = format!("must be 1 to {ID_BYTES_MAX} letters, digits, '.', '_' or '-'");
        section.mistake("expert_id", problem);
        return None;
    }
    if id.eq_ignore_ascii_case(RESERVED_ID) {
        section.mistake("expert_id", "\"auto\" means that the router decides; choose another id");
        return None;
    }
    Some(id)
}

/// `speculative` is what the predecessor's switch for the same purpose says.
fn lazy_loading(section: &Section<'_>, experts: usize, speculative: bool) -> LazyLoading {
    let count = |key, least, default| {
        section.integer(key, least..=EXPERTS_MAX as u32).unwrap_or(default) as usize
    };
    let idle = section.integer("auto_unload_after_s", 0..=IDLE_SECONDS_MAX);
    let keep_alive = keep_alive(section);
    if idle.is_some() && keep_alive.is_some() {
        section.mistake("keep_alive", "and `auto_unload_after_s` say the same thing; keep one");
    }
    let lazy = LazyLoading {
        enabled: section.flag("enabled").unwrap_or(true),
        warmup_pool_size: count("warmup_pool_size", 0, WARM_POOL_DEFAULT),
        max_loaded_experts: count("max_loaded_experts", 1, experts.max(1) as u32),
        auto_unload_after: match (keep_alive, idle.unwrap_or(IDLE_SECONDS_DEFAULT)) {
            (Some(KeepAlive::For(time)), _) => Some(time),
            (Some(KeepAlive::Always), _) | (None, 0) => None,
            (None, seconds) => Some(Duration::from_secs(seconds.into())),
        },
        prefetch: section.flag("prefetch").unwrap_or(speculative),
    };
    warn_of_counts(section, &lazy, experts);
    lazy
}

/// Ollama's meaning: seconds or a time; less than 0 never goes, 0 goes at once.
fn keep_alive(section: &Section<'_>) -> Option<KeepAlive> {
    let written = section.word("keep_alive")?.parse();
    written.map_err(|problem: NoTime| section.mistake("keep_alive", problem.to_string())).ok()
}

/// Numbers that can't both be meant.
fn warn_of_counts(section: &Section<'_>, lazy: &LazyLoading, experts: usize) {
    let (warm, most) = (lazy.warmup_pool_size, lazy.max_loaded_experts);
    if section.has("max_loaded_experts") && most > experts {
        let problem = format!("is {most}, but there are {experts} experts; all may be in memory");
        section.warn("max_loaded_experts", problem);
    }
    if !section.has("warmup_pool_size") {
        return;
    }
    if warm > experts {
        let problem = format!("is {warm}, but there are {experts} experts; lower it");
        section.warn("warmup_pool_size", problem);
    } else if warm > most {
        let problem =
            format!("is {warm}, but max_loaded_experts allows {most} in memory; lower it");
        section.warn("warmup_pool_size", problem);
    }
}

/// A domain that the built-in router never decides for: it was not taught, and nothing is said of it.
fn warn_of_domain(section: &Section<'_>, expert: &ExpertSettings) {
    let domain = expert.domain.as_str();
    let taught = ROUTER_DOMAINS.iter().chain(&ROUTER_DOMAINS_ALSO).any(|known| *known == domain);
    if taught || !expert.description.is_empty() || !expert.use_cases.is_empty() {
        return;
    }
    let problem = format!(
        "\"{domain}\" is none that the built-in router {DEFAULT_ROUTER} decides for; say in \
         description and use_cases what it is for, or take one of {}",
        ROUTER_DOMAINS.join(", ")
    );
    section.warn("domain", problem);
}

/// Bytes for weights and KV caches: `memory.limit_bytes`, or `memory.limit` as in "12GiB", or a
/// share of the machine's memory.
fn memory_bytes_max(section: &Section<'_>, share: f64, machine: Machine) -> u64 {
    let bytes = section.integer("limit_bytes", MEMORY_BYTES_MIN..=u64::MAX);
    let written = size(section, "limit");
    if bytes.is_some() && written.is_some() {
        section.mistake("limit", "and `limit_bytes` say the same thing; keep one");
    }
    bytes.or(written).unwrap_or((machine.memory_bytes as f64 * share) as u64)
}

/// A size of memory in words.
fn size(section: &Section<'_>, key: &'static str) -> Option<u64> {
    let bytes = parse_bytes(section.text(key)?).filter(|&bytes| bytes >= MEMORY_BYTES_MIN);
    if bytes.is_none() {
        section.mistake(key, "must be a size of 1MiB or more, as in \"12GiB\" or \"800MB\"");
    }
    bytes
}

/// `12GiB`, `800 MB`, `1.5g`: decimal with a `b` and no `i`, binary otherwise.
fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.trim().parse().ok()?;
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "kb" => 1000,
        "m" | "mib" => 1 << 20,
        "mb" => 1000 * 1000,
        "g" | "gib" => 1 << 30,
        "gb" => 1000 * 1000 * 1000,
        "t" | "tib" => 1 << 40,
        "tb" => 1000 * 1000 * 1000 * 1000,
        _ => return None,
    };
    (number > 0.0 && number.is_finite()).then_some((number * scale as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let check = |text, expect| assert_eq!(parse_bytes(text), expect, "{text}");
        check("12GiB", Some(12 << 30));
        check("800 MB", Some(800_000_000));
        check("1.5g", Some(3 << 29));
        check("4096", Some(4096));
        check("-1GiB", None);
        check("many", None);
        check("1 parsec", None);
    }
}
