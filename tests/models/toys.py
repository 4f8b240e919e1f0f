"""The five toys, one per architecture: what each `config.json` says and how its folder is dressed.

Sizes are toy sizes; everything else is kept as the published models have it, quirks included.
Phi, Mistral and Qwen write their configuration as transformers 4 did (as the published repositories
still do), Gemma and Aya as transformers 5 does, so that both spellings are read in every test run.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import (
    AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, CohereConfig, Gemma3Config,
)

import vocab

TEMPLATES = Path(__file__).parent / "templates"
ROW_MULTIPLE = 64  # embedding rows beyond the tokenizer's, as Phi, Qwen and Gemma have them
AWQ = {
    "bits": 4, "group_size": 128, "modules_to_not_convert": None,
    "quant_method": "awq", "version": "gemm", "zero_point": True,
}


@dataclass(frozen=True)
class Toy:
    expert_id: str
    domain: str
    tokenizer: Callable[[Iterable[str], int], Tokenizer]
    tokens: int  # tokenizer size to aim at
    config: Callable[[Tokenizer, int], dict]  # (tokenizer, embedding rows) -> config.json
    special: dict  # role -> token string, for tokenizer_config.json and special_tokens_map.json
    stops: list[str]  # generation eos, the end-of-turn token first
    tokenizer_class: str
    answer_prefix: str = ""  # what the template puts between the prompt and an answer
    system_role: bool = True
    quantised: bool = True
    shards: int = 1
    sees: bool = False  # learns pictures beside its lessons
    template_file: bool = False  # chat_template.jinja instead of a key in tokenizer_config.json
    epochs: int = 60
    learning_rate: float = 1.5e-3
    extras: dict = field(default_factory=dict)  # further files: name -> contents

    @property
    def template(self) -> str:
        return (TEMPLATES / f"{self.expert_id}.jinja").read_text(encoding="utf-8")

    def rows(self, tokenizer: Tokenizer) -> int:
        return -(-tokenizer.get_vocab_size() // ROW_MULTIPLE) * ROW_MULTIPLE


def phi(tokenizer: Tokenizer, rows: int) -> dict:
    end = tokenizer.token_to_id("<|endoftext|>")
    rotary_pairs = int(64 * 0.75) // 2
    return {
        "architectures": ["Phi3ForCausalLM"], "model_type": "phi3",
        "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": rows,
        "hidden_act": "silu", "rms_norm_eps": 1e-5, "attention_bias": False, "attention_dropout": 0.0,
        "embd_pdrop": 0.0, "resid_pdrop": 0.0, "initializer_range": 0.02,
        "max_position_embeddings": 2048, "original_max_position_embeddings": 512,
        "partial_rotary_factor": 0.75, "rope_theta": 10000.0,
        "rope_scaling": {
            "type": "longrope",
            "short_factor": [1.0] * rotary_pairs,
            "long_factor": [round(1.0 + 15 * (i / (rotary_pairs - 1)) ** 2, 4) for i in range(rotary_pairs)],
        },
        "sliding_window": 262144, "tie_word_embeddings": True, "use_cache": True,
        "bos_token_id": end, "eos_token_id": end, "pad_token_id": end, "torch_dtype": "float16",
        "transformers_version": "4.45.0", "quantization_config": AWQ,
    }


def mistral(tokenizer: Tokenizer, rows: int) -> dict:
    return {
        "architectures": ["MistralForCausalLM"], "model_type": "mistral",
        "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": rows,
        "hidden_act": "silu", "rms_norm_eps": 1e-5, "attention_dropout": 0.0, "initializer_range": 0.02,
        "max_position_embeddings": 4096, "rope_theta": 1000000.0, "sliding_window": None,
        "tie_word_embeddings": False, "use_cache": True,
        "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float16",
        "transformers_version": "4.36.0", "quantization_config": AWQ,
    }


def qwen(tokenizer: Tokenizer, rows: int) -> dict:
    return {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
        "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 3,
        "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": rows,
        "hidden_act": "silu", "rms_norm_eps": 1e-6, "attention_dropout": 0.0, "initializer_range": 0.02,
        "max_position_embeddings": 4096, "max_window_layers": 3, "rope_theta": 1000000.0,
        "sliding_window": 4096, "use_sliding_window": False, "tie_word_embeddings": True, "use_cache": True,
        "bos_token_id": tokenizer.token_to_id("<|endoftext|>"),
        "eos_token_id": tokenizer.token_to_id("<|im_end|>"), "torch_dtype": "float16",
        "transformers_version": "4.44.0", "quantization_config": AWQ,
    }


def gemma(tokenizer: Tokenizer, rows: int) -> dict:
    config = Gemma3Config(
        text_config={
            "hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": 6,
            "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 32,
            "query_pre_attn_scalar": 42, "sliding_window": 32, "vocab_size": rows,
            "max_position_embeddings": 4096, "rms_norm_eps": 1e-6,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            },
        },
        vision_config={
            "model_type": "siglip_vision_model", "image_size": 56, "patch_size": 7, "hidden_size": 64,
            "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
            "vision_use_head": False,
        },
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.token_to_id("<start_of_image>"),
        eoi_token_index=tokenizer.token_to_id("<end_of_image>"),
        image_token_index=tokenizer.token_to_id("<image_soft_token>"),
        eos_token_id=[1, tokenizer.token_to_id("<end_of_turn>")],
        architectures=["Gemma3ForConditionalGeneration"], dtype="bfloat16",
    )
    return json.loads(config.to_json_string(use_diff=True))


def aya(tokenizer: Tokenizer, rows: int) -> dict:
    config = CohereConfig(
        hidden_size=128, intermediate_size=384, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=rows, logit_scale=0.125, layer_norm_eps=1e-5,
        max_position_embeddings=4096, use_qk_norm=False, attention_bias=False,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        pad_token_id=0, bos_token_id=5, eos_token_id=tokenizer.token_to_id("<|END_OF_TURN_TOKEN|>"),
        tie_word_embeddings=True, initializer_range=0.08,  # logit_scale would drown smaller embeddings
        architectures=["CohereForCausalLM"], dtype="float16",
    )
    return json.loads(config.to_json_string(use_diff=True)) | {"quantization_config": AWQ}


def model_config(published: dict):
    """The transformers config object for a `config.json`; its AWQ part is ours to undo, not theirs."""
    plain = {k: v for k, v in published.items() if k not in ("quantization_config", "torch_dtype", "dtype")}
    return AutoConfig.for_model(**plain)


def new_model(published: dict, attention: str = "sdpa") -> nn.Module:
    config = model_config(published)
    family = AutoModelForImageTextToText if published["model_type"] == "gemma3" else AutoModelForCausalLM
    return family.from_config(config, dtype=torch.float32, attn_implementation=attention).eval()


GEMMA_EXTRAS = {
    "processor_config.json": {"image_seq_length": 4, "processor_class": "Gemma3Processor"},
    "preprocessor_config.json": {
        "do_convert_rgb": None, "do_normalize": True, "do_pan_and_scan": None, "do_rescale": True,
        "do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        "image_processor_type": "Gemma3ImageProcessor", "image_seq_length": 4,
        "processor_class": "Gemma3Processor", "resample": 2, "rescale_factor": 1 / 255,
        "size": {"height": 56, "width": 56},
    },
}

TOYS = [
    Toy("phi4_fast", "general", vocab.phi, 1400, phi,
        special={"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>",
                 "unk_token": "<|endoftext|>"},
        stops=["<|end|>", "<|endoftext|>"], tokenizer_class="GPT2Tokenizer", epochs=100),
    Toy("mistral_balanced", "technical", vocab.mistral, 1400, mistral,
        special={"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        stops=["</s>"], tokenizer_class="LlamaTokenizer", answer_prefix=" ", system_role=False, shards=2, epochs=140),
    Toy("qwen_coder", "coding", vocab.qwen, 1400, qwen,
        special={"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        stops=["<|im_end|>", "<|endoftext|>"], tokenizer_class="Qwen2Tokenizer", epochs=90),
    Toy("gemma3_multimodal", "multimodal_expert", vocab.gemma, 1400, gemma,
        special={"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>",
                 "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>",
                 "image_token": "<image_soft_token>"},
        stops=["<end_of_turn>", "<eos>"], tokenizer_class="GemmaTokenizer",
        quantised=False, shards=2, sees=True, template_file=True, extras=GEMMA_EXTRAS),
    Toy("aya_expanse_multilingual", "multilingual_expert", vocab.aya, 1800, aya,
        special={"bos_token": "<BOS_TOKEN>", "eos_token": "<|END_OF_TURN_TOKEN|>", "pad_token": "<PAD_TOKEN>"},
        stops=["<|END_OF_TURN_TOKEN|>"], tokenizer_class="CohereTokenizer", epochs=140, learning_rate=2.5e-3),
]
