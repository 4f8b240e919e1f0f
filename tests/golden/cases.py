"""The list of cases. One more case is one more line."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from architectures import (
    LLAMA_3, cohere, gemma_text, gemma_text_5, in_5, llama, mistral, phi3, qwen2, seeing,
)
from awq import awq
from compressed import compressed
from plain import Write, plain
from weights import with_large_key_biases


@dataclass(frozen=True)
class Case:
    """One checkpoint and one text."""

    name: str
    config: dict
    write: Write
    tokens: int = 32
    images: tuple[str, ...] = ()
    note: str = ""
    alter: Callable[[dict[str, Tensor]], None] = lambda weights: None


WIDE = {"hidden_size": 128, "intermediate_size": 128}  # for groups of 128
WIDER_INSIDE = {"hidden_size": 128, "intermediate_size": 256}  # and two of them in a row

CASES = [
    # Llama
    Case("llama-f32", llama(torch_dtype="float32"), plain("f32")),
    Case("llama-bias-bf16", llama(attention_bias=True), plain("bf16")),
    Case("llama-rope3-v4-bf16", llama(rope_theta=500000.0, rope_scaling=LLAMA_3), plain("bf16")),
    Case("llama-rope3-v5-bf16", in_5(llama(rope_theta=500000.0, rope_scaling=LLAMA_3)), plain("bf16")),
    Case("llama-tied-v5-f16", in_5(llama(torch_dtype="float16", tie_word_embeddings=True)), plain("f16")),
    # Mistral
    Case("mistral-v02-shards-f16", mistral(), plain("f16", shards=2)),
    Case("mistral-v01-window-bf16", mistral(sliding_window=8, rope_theta=10000.0, torch_dtype="bfloat16"), plain("bf16")),
    Case("mistral-awq-g128", mistral(**WIDE), awq(128)),
    Case("mistral-awq-g64", mistral(intermediate_size=128), awq(64)),
    Case("mistral-awq-g32", mistral(), awq(32)),
    # Qwen2
    Case("qwen2-tied-bf16", qwen2(), plain("bf16")),
    Case("qwen2-untied-v5-f16", in_5(qwen2(tie_word_embeddings=False, torch_dtype="float16")), plain("f16")),
    Case("qwen2-large-key-bias-f16", qwen2(torch_dtype="float16"), plain("f16"), alter=with_large_key_biases),
    Case("qwen2-window-bf16", qwen2(use_sliding_window=True, sliding_window=8, max_window_layers=1), plain("bf16")),
    Case("qwen2-awq-gemv-g128", qwen2(**WIDER_INSIDE), awq(128, "gemv")),
    Case("qwen2-awq-gemv-g32", qwen2(), awq(32, "gemv")),
    Case("qwen2-awq-some-plain-g32", qwen2(), awq(32, skip=["v_proj", "down_proj"])),
    Case("qwen2-awq-older-g64", qwen2(intermediate_size=128), awq(64, older=True)),
    # Phi3
    Case("phi3-longrope-short-bf16", phi3(40), plain("bf16"), note="short regime: 32 ids of 40"),
    Case("phi3-longrope-edge-v5-f16",
         in_5(phi3(32, torch_dtype="float16")), plain("f16"), note="short regime: 32 ids of 32"),
    Case("phi3-longrope-long-f32", phi3(16, torch_dtype="float32"), plain("f32"), note="long regime: 32 ids of 16"),
    Case("phi3-longrope-long-awq-g128", phi3(16, torch_dtype="float16", num_attention_heads=8, **WIDE), awq(128),
         note="long regime: 32 ids of 16"),
    # Cohere
    Case("cohere-f16", cohere(), plain("f16")),
    Case("cohere-qk-norm-v5-bf16", in_5(cohere(use_qk_norm=True, torch_dtype="bfloat16")), plain("bf16")),
    Case("cohere-awq-g32", cohere(), awq(32)),
    # Gemma 3
    Case("gemma3-text-v4-bf16", gemma_text(), plain("bf16")),
    Case("gemma3-text-v5-bf16", gemma_text_5(), plain("bf16")),
    Case("gemma3-vision-one-v4-bf16", seeing(gemma_text()), plain("bf16", gemma_4=True), images=("wide.png",)),
    Case("gemma3-vision-two-v5-bf16", seeing(gemma_text_5()), plain("bf16"), images=("tall.png", "large.png")),
    # compressed-tensors
    Case("llama-ct-g128-bf16", llama(**WIDE), compressed("bf16", 128)),
    Case("llama-ct-g32-asym-f16", llama(torch_dtype="float16"), compressed("f16", 32, symmetric=False)),
    Case("mistral-ct-channel-bf16", mistral(torch_dtype="bfloat16"), compressed("bf16", None)),
    Case("qwen2-ct-channel-asym-f16", qwen2(torch_dtype="float16"), compressed("f16", None, symmetric=False)),
    Case("phi3-ct-g32-bf16", phi3(16), compressed("bf16", 32)),
    Case("cohere-ct-some-plain-g32-bf16", cohere(torch_dtype="bfloat16"),
         compressed("bf16", 32, ignore=["model.layers.0.self_attn.o_proj", "model.layers.1.mlp.up_proj"])),
    Case("gemma3-text-ct-g32-asym-bf16", gemma_text(), compressed("bf16", 32, symmetric=False)),
]
