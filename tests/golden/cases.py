"""The list of cases. One more case is one more line."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from architectures import (
    LLAMA_3, REMOVED, cohere, gemma_text, gemma_text_5, in_5, llama, mistral, phi3, qwen2, seeing,
)
from awq import awq
from compressed import compressed
from gguf_file import gguf_file
from plain import Write, plain
from weights import with_large_key_biases


@dataclass(frozen=True)
class Case:
    """One checkpoint and one text."""

    name: str
    config: dict  # as published, but for what storage adds
    write: Write  # how the weights are stored
    tokens: int = 24  # of the text, pictures included
    images: tuple[str, ...] = ()  # of `pictures.SIZES`
    note: str = ""  # goes into expected.json
    alter: Callable[[dict[str, Tensor]], None] = lambda weights: None  # changes random weights in place


# Sizes that groups of 32, 64 and 128 divide, one where a row has two groups of 128, and one for K-quants.
OF_32 = {"intermediate_size": 96}
OF_64 = {"intermediate_size": 128}
OF_128 = {"hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 1}
TWICE_128 = OF_128 | {"intermediate_size": 256}
OF_256 = {"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 1, "head_dim": 16,
          "tie_word_embeddings": True}

CASES = [
    # Llama
    Case("llama-f32", llama(torch_dtype="float32"), plain("f32")),
    Case("llama-bias-bf16", llama(attention_bias=True), plain("bf16")),
    Case("llama-rope3-v4-bf16", llama(rope_theta=500000.0, rope_scaling=LLAMA_3), plain("bf16")),
    Case("llama-rope3-v5-bf16", in_5(llama(rope_theta=500000.0, rope_scaling=LLAMA_3)), plain("bf16")),
    Case("llama-tied-v5-f16", in_5(llama(torch_dtype="float16", tie_word_embeddings=True)), plain("f16")),
    # Mistral
    Case("mistral-v02-shards-f16", mistral(), plain("f16", shards=2)),
    Case("mistral-v01-window-bf16", mistral(sliding_window=8, rope_theta=10000.0, torch_dtype="bfloat16"),
         plain("bf16")),
    Case("mistral-awq-g128", mistral(**OF_128), awq(128)),
    Case("mistral-awq-g64", mistral(**OF_64), awq(64)),
    Case("mistral-awq-g32", mistral(**OF_32), awq(32)),
    # Qwen2
    Case("qwen2-tied-bf16", qwen2(), plain("bf16")),
    Case("qwen2-untied-v5-f16", in_5(qwen2(tie_word_embeddings=False, torch_dtype="float16")), plain("f16")),
    Case("qwen2-large-key-bias-f16", qwen2(torch_dtype="float16"), plain("f16"), alter=with_large_key_biases),
    Case("qwen2-window-bf16", qwen2(use_sliding_window=True, sliding_window=8, max_window_layers=1), plain("bf16")),
    Case("qwen2-awq-gemv-g128", qwen2(**TWICE_128), awq(128, "gemv")),
    Case("qwen2-awq-gemv-g32", qwen2(**OF_32), awq(32, "gemv")),
    Case("qwen2-awq-some-plain-g32", qwen2(**OF_32), awq(32, skip=["v_proj", "down_proj"])),
    Case("qwen2-awq-older-g64", qwen2(**OF_64), awq(64, older=True)),
    # Phi3
    Case("phi3-longrope-short-bf16", phi3(40), plain("bf16"), note="short regime: 24 ids of 40"),
    Case("phi3-longrope-edge-v5-f16",
         in_5(phi3(24, torch_dtype="float16")), plain("f16"), note="short regime: 24 ids of 24"),
    Case("phi3-longrope-long-bf16", phi3(16), plain("bf16"), note="long regime: 24 ids of 16"),
    Case("phi3-longrope-long-awq-g128", phi3(16, torch_dtype="float16", num_attention_heads=8, **OF_128), awq(128),
         note="long regime: 24 ids of 16"),
    # Cohere
    Case("cohere-f16", cohere(), plain("f16")),
    Case("cohere-qk-norm-v5-bf16", in_5(cohere(use_qk_norm=True, torch_dtype="bfloat16")), plain("bf16")),
    Case("cohere-awq-g32", cohere(**OF_32), awq(32)),
    # Gemma 3
    Case("gemma3-text-v4-bf16", gemma_text(), plain("bf16")),
    Case("gemma3-text-v5-bf16", gemma_text_5(), plain("bf16")),
    Case("gemma3-vision-one-v4-bf16", seeing(gemma_text()), plain("bf16", gemma_4=True), 32,
         images=("wide.png",)),
    Case("gemma3-vision-two-v5-bf16", seeing(gemma_text_5()), plain("bf16"), 32,
         images=("tall.png", "large.png")),
    # compressed-tensors
    Case("llama-ct-g128-bf16", llama(**OF_128), compressed("bf16", 128)),
    Case("llama-ct-g32-asym-f16", llama(torch_dtype="float16", **OF_32), compressed("f16", 32, symmetric=False)),
    Case("mistral-ct-channel-bf16", mistral(torch_dtype="bfloat16"), compressed("bf16", None)),
    Case("qwen2-ct-channel-asym-f16", qwen2(torch_dtype="float16"), compressed("f16", None, symmetric=False)),
    Case("phi3-ct-g32-bf16", phi3(16, **OF_32), compressed("bf16", 32)),
    Case("cohere-ct-some-plain-g32-bf16", cohere(torch_dtype="bfloat16", **OF_32),
         compressed("bf16", 32, ignore=["model.layers.0.self_attn.o_proj", "model.layers.1.mlp.up_proj"])),
    Case("gemma3-text-six-layers-ct-g32-asym-bf16",
         gemma_text(num_hidden_layers=6, sliding_window_pattern=REMOVED, intermediate_size=64),
         compressed("bf16", 32, symmetric=False)),
    # GGUF: every type of tensor
    Case("gguf-llama-f32", llama(num_hidden_layers=1), gguf_file("F32")),
    Case("gguf-llama-f16", llama(num_hidden_layers=1), gguf_file("F16")),
    Case("gguf-llama-bf16", llama(num_hidden_layers=1), gguf_file("BF16")),
    Case("gguf-llama-q4_0", llama(**OF_32), gguf_file("Q4_0")),
    Case("gguf-llama-q4_1", llama(**OF_32), gguf_file("Q4_1")),
    Case("gguf-llama-q5_0", llama(**OF_32), gguf_file("Q5_0")),
    Case("gguf-llama-q5_1", llama(**OF_32), gguf_file("Q5_1")),
    Case("gguf-llama-q8_0", llama(**OF_32), gguf_file("Q8_0")),
    Case("gguf-llama-q4_k", llama(**OF_256), gguf_file("Q4_K")),
    Case("gguf-llama-q5_k", llama(**OF_256), gguf_file("Q5_K")),
    Case("gguf-llama-q6_k", llama(**OF_256), gguf_file("Q6_K")),
    # GGUF: every architecture
    Case("gguf-llama-rope3-tied-q8_0",
         llama(**OF_32, rope_theta=500000.0, rope_scaling=LLAMA_3, tie_word_embeddings=True), gguf_file("Q8_0")),
    Case("gguf-mistral-q8_0", mistral(**OF_32), gguf_file("Q8_0")),
    Case("gguf-qwen2-q8_0", qwen2(**OF_32), gguf_file("Q8_0")),
    Case("gguf-phi3-short-q8_0", phi3(40, **OF_32), gguf_file("Q8_0"), note="short regime: 24 ids of 40"),
    Case("gguf-phi3-long-q8_0", phi3(16, **OF_32, sliding_window=None), gguf_file("Q8_0"),
         note="long regime: 24 ids of 16"),
    Case("gguf-gemma3-q8_0",
         gemma_text(num_hidden_layers=6, sliding_window_pattern=6, query_pre_attn_scalar=24, intermediate_size=32),
         gguf_file("Q8_0")),
    Case("gguf-command-r-q8_0", cohere(**OF_32), gguf_file("Q8_0")),
    Case("gguf-command-r-qk-norm-f16", cohere(use_qk_norm=True, num_hidden_layers=1), gguf_file("F16")),
]
