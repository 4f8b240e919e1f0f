"""What llama.cpp's converter says of a model in the metadata of a GGUF file, for each architecture.

Its keys and their absences are kept: `phi3` names no kind of rope scaling, `gemma3` neither its pattern of
layers nor what scales its queries, and `llama` no window, for which Mistral 0.1 has none in this format.
"""

import math

ARCHITECTURES = {
    "CohereForCausalLM": "command-r", "Gemma3ForCausalLM": "gemma3", "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "llama", "Phi3ForCausalLM": "phi3", "Qwen2ForCausalLM": "qwen2",
}


def keys(config: dict) -> dict[str, int | float | str]:
    """Keys without the name of the architecture before them."""
    architecture = ARCHITECTURES[config["architectures"][0]]
    said = sizes(config) | {"rope.freq_base": config["rope_theta"]}
    for ours, theirs in (("rms_norm_eps", "layer_norm_rms_epsilon"), ("layer_norm_eps", "layer_norm_epsilon")):
        said |= {f"attention.{theirs}": config[ours]} if ours in config else {}
    if "head_dim" in config:
        said |= {"attention.key_length": config["head_dim"], "attention.value_length": config["head_dim"]}
    match architecture:
        case "llama":
            said |= {"vocab_size": config["vocab_size"], "rope.dimension_count": head_dim(config)}
        case "phi3":
            said |= of_phi3(config)
        case "gemma3":
            said |= of_gemma3(config)
        case "command-r":
            said |= {"logit_scale": config["logit_scale"], "rope.scaling.type": "none"}
    return said


def sizes(config: dict) -> dict[str, int]:
    """What all say."""
    return {
        "block_count": config["num_hidden_layers"], "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"], "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["num_key_value_heads"],
    }


def head_dim(config: dict) -> int:
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def of_phi3(config: dict) -> dict[str, int | float]:
    """Longrope's factors are tensors; a window of zero is none."""
    original = config["original_max_position_embeddings"]
    stretch = config["max_position_embeddings"] / original
    return {
        "rope.dimension_count": int(config["partial_rotary_factor"] * head_dim(config)),
        "rope.scaling.original_context_length": original,
        "rope.scaling.attn_factor": math.sqrt(1 + math.log(stretch) / math.log(original)),
        "attention.sliding_window": config["sliding_window"] or 0,
    }


def of_gemma3(config: dict) -> dict[str, int | float | str]:
    """The scaling is that of global layers."""
    return {
        "attention.sliding_window": config["sliding_window"],
        "rope.freq_base_swa": config["rope_local_base_freq"],
        "rope.scaling.type": "linear", "rope.scaling.factor": config["rope_scaling"]["factor"],
    }
