"""A small `config.json` of each architecture, spelt as published ones are; a case changes what it is about.

Sizes are small, and some numbers are larger than published ones, so that an engine that ignores them is found out.
"""

VOCAB = 64
REMOVED = object()  # as the value of a key, takes it out


def merged(config: dict, changes: dict) -> dict:
    """`config` with `changes`."""
    return {key: value for key, value in (config | changes).items() if value is not REMOVED}


def llama(**changes) -> dict:
    """`LlamaForCausalLM` as transformers 4 spells it."""
    return merged({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "hidden_size": 64, "intermediate_size": 80, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCAB,
        "hidden_act": "silu", "rms_norm_eps": 1e-5, "attention_bias": False, "mlp_bias": False,
        "max_position_embeddings": 512, "rope_theta": 10000.0, "rope_scaling": None,
        "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
        "torch_dtype": "bfloat16", "transformers_version": "4.44.0",
    }, changes)


def in_5(config: dict) -> dict:
    """The same configuration as transformers 5 spells it."""
    scaling = dict(config.get("rope_scaling") or {"rope_type": "default"})
    rope = {"rope_theta": config["rope_theta"], "rope_type": scaling.pop("type", "default")} | scaling
    for key in ("partial_rotary_factor", "original_max_position_embeddings"):
        rope |= {key: config[key]} if key in config else {}
    return merged(config, {
        "rope_parameters": rope, "dtype": config["torch_dtype"], "transformers_version": "5.23.0",
        "rope_theta": REMOVED, "rope_scaling": REMOVED, "partial_rotary_factor": REMOVED, "torch_dtype": REMOVED,
    })


LLAMA_3 = {  # stretched as Llama 3.1 is, from a context so short that it matters here
    "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16, "rope_type": "llama3",
}


def mistral(**changes) -> dict:
    """`MistralForCausalLM` version 0.2: no window."""
    return merged({
        "architectures": ["MistralForCausalLM"], "model_type": "mistral",
        "hidden_size": 64, "intermediate_size": 80, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCAB,
        "hidden_act": "silu", "rms_norm_eps": 1e-5, "attention_dropout": 0.0,
        "max_position_embeddings": 512, "rope_theta": 1000000.0, "sliding_window": None,
        "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
        "torch_dtype": "float16", "transformers_version": "4.36.0",
    }, changes)


def qwen2(**changes) -> dict:
    """`Qwen2ForCausalLM`, tied as the small ones are."""
    return merged({
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
        "hidden_size": 64, "intermediate_size": 80, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCAB,
        "hidden_act": "silu", "rms_norm_eps": 1e-4, "attention_dropout": 0.0,
        "max_position_embeddings": 512, "rope_theta": 1000000.0, "max_window_layers": 2,
        "sliding_window": 512, "use_sliding_window": False,
        "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2,
        "torch_dtype": "bfloat16", "transformers_version": "4.44.0",
    }, changes)


def phi3(original: int, **changes) -> dict:
    """`Phi3ForCausalLM` as Phi-4-mini is; texts longer than `original` are in the long regime."""
    pairs = 6  # three quarters of heads of 16
    return merged({
        "architectures": ["Phi3ForCausalLM"], "model_type": "phi3",
        "hidden_size": 64, "intermediate_size": 80, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCAB,
        "hidden_act": "silu", "rms_norm_eps": 1e-5, "attention_bias": False, "attention_dropout": 0.0,
        "embd_pdrop": 0.0, "resid_pdrop": 0.0,
        "max_position_embeddings": 8 * original, "original_max_position_embeddings": original,
        "partial_rotary_factor": 0.75, "rope_theta": 10000.0,
        "rope_scaling": {
            "type": "longrope",
            "short_factor": [1.0 + 0.125 * pair for pair in range(pairs)],
            "long_factor": [1.5 + 0.25 * pair**2 for pair in range(pairs)],
        },
        "sliding_window": 262144, "tie_word_embeddings": True,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
        "torch_dtype": "bfloat16", "transformers_version": "4.45.0",
    }, changes)


def cohere(**changes) -> dict:
    """`CohereForCausalLM` as Aya Expanse is."""
    return merged({
        "architectures": ["CohereForCausalLM"], "model_type": "cohere",
        "hidden_size": 64, "intermediate_size": 80, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCAB,
        "hidden_act": "silu", "layer_norm_eps": 1e-3, "attention_bias": False, "attention_dropout": 0.0,
        "max_position_embeddings": 512, "rope_theta": 10000.0, "logit_scale": 0.125,
        "use_qk_norm": False, "pad_token_id": 0, "bos_token_id": 5, "eos_token_id": 2,
        "torch_dtype": "float16", "transformers_version": "4.44.0",
    }, changes)


# What stands for a picture: its beginning, its soft tokens, its end.
BOI, EOI, SOFT = 61, 62, 63


def gemma_text(**changes) -> dict:
    """`Gemma3ForCausalLM` as transformers 4 spells it."""
    return merged({
        "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text",
        "hidden_size": 64, "intermediate_size": 48, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 24, "vocab_size": VOCAB,
        "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-3, "attention_bias": False,
        "query_pre_attn_scalar": 20, "sliding_window": 8, "sliding_window_pattern": 3,
        "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "max_position_embeddings": 512, "tie_word_embeddings": True,
        "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0,
        "torch_dtype": "bfloat16", "transformers_version": "4.50.0.dev0",
    }, changes)


def gemma_text_5(**changes) -> dict:
    """`Gemma3ForCausalLM` as transformers 5 spells it."""
    return gemma_text(**{
        "sliding_window_pattern": REMOVED, "rope_theta": REMOVED, "rope_local_base_freq": REMOVED,
        "rope_scaling": REMOVED, "torch_dtype": REMOVED, "dtype": "bfloat16", "transformers_version": "5.23.0",
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        "rope_parameters": {
            "full_attention": {"factor": 8.0, "rope_theta": 1000000.0, "rope_type": "linear"},
            "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"},
        },
    } | changes)


def seeing(text: dict, **changes) -> dict:
    """`Gemma3ForConditionalGeneration` around a text configuration."""
    top = ("architectures", "torch_dtype", "dtype", "transformers_version", "tie_word_embeddings")
    outer = {key: text[key] for key in top[1:4] if key in text}
    return merged(outer | {
        "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
        "boi_token_index": BOI, "eoi_token_index": EOI, "image_token_index": SOFT,
        "eos_token_id": [1, 3], "initializer_range": 0.02, "mm_tokens_per_image": 4,
        "text_config": {key: value for key, value in text.items() if key not in top},
        "vision_config": {
            "hidden_size": 32, "image_size": 56, "intermediate_size": 48, "model_type": "siglip_vision_model",
            "num_attention_heads": 2, "num_hidden_layers": 2, "patch_size": 14, "vision_use_head": False,
        },
    }, changes)


PREPROCESSOR = {
    "do_convert_rgb": None, "do_normalize": True, "do_pan_and_scan": None, "do_rescale": True,
    "do_resize": True, "image_mean": [0.5, 0.5, 0.5], "image_processor_type": "Gemma3ImageProcessor",
    "image_seq_length": 4, "image_std": [0.5, 0.5, 0.5], "pan_and_scan_max_num_crops": None,
    "pan_and_scan_min_crop_size": None, "pan_and_scan_min_ratio_to_activate": None,
    "processor_class": "Gemma3Processor", "resample": 2, "rescale_factor": 0.00392156862745098,
    "size": {"height": 56, "width": 56},
}
