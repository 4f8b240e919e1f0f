//! Keys that the predecessor's files carry and that mean nothing here: accepted, and listed with
//! the reason, so that nobody believes in a switch that does nothing.

/// Keys that share one reason.
struct Group {
    /// Sections they stand in, as paths without list positions; "" is the outermost.
    sections: &'static [&'static str],
    /// Why they have no effect.
    why: &'static str,
    /// Their names; a trailing `*` stands for any ending.
    keys: &'static [&'static str],
}

/// Where vLLM's engine arguments appear.
const VLLM: &[&str] = &["experts[]", "performance_tuning"];
/// The reason for features whose issue is still to come.
const NOT_YET: &str = "accepted, not used by this version";

const IGNORED: &[Group] = &[
    Group {
        sections: VLLM,
        why: "experts run on this machine's CPU; there is no device to choose or divide",
        keys: &[
            "cpu_offload_gb",
            "data_parallel_size",
            "device",
            "disable_custom_all_reduce",
            "distributed_executor_backend",
            "gpu_memory_utilization",
            "max_parallel_loading_workers",
            "num_gpu_blocks_override",
            "pipeline_parallel_size",
            "ray_*",
            "swap_space",
            "tensor_parallel_size",
            "worker_use_ray",
        ],
    },
    Group {
        sections: VLLM,
        why: "arithmetic is chosen by the features of the CPU",
        keys: &[
            "attention_backend",
            "enable_flash_attention",
            "enable_neon",
            "flash_attention_config",
            "neon_optimizations",
        ],
    },
    Group {
        sections: VLLM,
        why: "no graph is captured or compiled",
        keys: &[
            "compilation_config",
            "enforce_eager",
            "max_context_len_to_capture",
            "max_seq_len_to_capture",
            "use_captured_graph",
        ],
    },
    Group {
        sections: VLLM,
        why: "the engine decides for each step which sequences run",
        keys: &[
            "delay_factor",
            "enable_chunked_prefill",
            "max_num_batched_tokens",
            "max_num_partial_prefills",
            "multi_step_stream_outputs",
            "num_lookahead_slots",
            "num_scheduler_steps",
            "preemption_mode",
            "scheduler_delay_factor",
            "scheduling_policy",
        ],
    },
    Group {
        sections: VLLM,
        why: "each sequence has a KV cache of its own that grows as it does",
        keys: &[
            "block_size",
            "calculate_kv_scales",
            "max_num_cached_tokens",
            "sliding_window",
            "use_v2_block_manager",
        ],
    },
    Group {
        sections: &["performance_tuning"],
        why: "each of experts[] has a kv_cache_dtype of its own",
        keys: &["kv_cache_dtype"],
    },
    Group {
        sections: VLLM,
        why: "code from checkpoints never runs",
        keys: &["code_revision", "trust_remote_code"],
    },
    Group {
        sections: VLLM,
        why: "everything an expert needs lies under its model_path",
        keys: &[
            "config_format",
            "download_dir",
            "hf_overrides",
            "load_format",
            "revision",
            "rope_scaling",
            "rope_theta",
            "tokenizer",
            "tokenizer_mode",
            "tokenizer_revision",
        ],
    },
    Group {
        sections: VLLM,
        why: "the same numbers are on /stats and /metrics",
        keys: &["disable_log_requests", "disable_log_stats", "max_log_len"],
    },
    Group {
        sections: VLLM,
        why: NOT_YET,
        keys: &[
            "enable_lora",
            "enable_prefix_caching",
            "limit_mm_per_prompt",
            "max_cpu_loras",
            "max_lora_rank",
            "max_loras",
            "num_speculative_tokens",
            "seed",
            "speculative_config",
            "speculative_model",
            "typical_acceptance_*",
            "use_beam_search",
        ],
    },
    Group {
        sections: &[""],
        why: "arithmetic is chosen by the features of the CPU",
        keys: &["optimization_flags"],
    },
    Group {
        sections: &[""],
        why: "routing belongs to the active route policy",
        keys: &["chunk_size", "routing_threshold", "use_fast_classifier"],
    },
    Group {
        sections: &[""],
        why: "a consensus and its judge are planned by the active route policy",
        keys: &["consensus_model", "enable_consensus"],
    },
    Group {
        sections: &["embedding_model"],
        why: NOT_YET,
        keys: &["cache_size", "model_name", "use_neon"],
    },
    Group {
        sections: &["rag"],
        why: "the policy rag-bridge does this; it has its settings in policies.settings and its bridge in policies.http_hosts",
        keys: &[
            "bridge_url",
            "collection",
            "detection_strategy",
            "detection_threshold",
            "enabled",
            "max_context_tokens",
        ],
    },
    Group {
        sections: &["speculative_routing"],
        why: "what is loaded ahead goes by who was asked after whom",
        keys: &["max_speculation_time", "speculation_threshold"],
    },
    Group {
        sections: &["lazy_loading"],
        why: "the warm pool is the experts of the highest priority",
        keys: &["warmup_models"],
    },
    Group {
        sections: &["server_config"],
        why: "one process serves all, and browsers send it no credentials",
        keys: &["allow_credentials", "reload", "timeout_keep_alive", "workers"],
    },
    Group {
        sections: &[
            "",
            "embedding_model",
            "experts[]",
            "lazy_loading",
            "performance_tuning",
            "rag",
            "server_config",
            "speculative_routing",
        ],
        why: "words for people",
        keys: &["notes"],
    },
];

/// Why a key has no effect; `None` when it is not one of these.
pub(super) fn why(section: &str, key: &str) -> Option<&'static str> {
    groups_of(section).find(|group| group.keys.iter().any(|k| fits(k, key))).map(|group| group.why)
}

/// The names accepted without effect in a section.
pub(super) fn keys(section: &str) -> impl Iterator<Item = &'static str> {
    groups_of(section).flat_map(|group| group.keys).copied().filter(|key| !key.ends_with('*'))
}

fn groups_of(section: &str) -> impl Iterator<Item = &'static Group> {
    IGNORED.iter().filter(move |group| group.sections.contains(&section))
}

fn fits(known: &str, key: &str) -> bool {
    match known.strip_suffix('*') {
        Some(beginning) => key.starts_with(beginning),
        None => known == key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_belongs_to_a_section() {
        assert!(why("experts[]", "swap_space").is_some());
        assert!(why("experts[]", "ray_workers_use_nsight").is_some());
        assert!(why("", "swap_space").is_none());
        assert!(why("experts[]", "expert_id").is_none());
    }
}
