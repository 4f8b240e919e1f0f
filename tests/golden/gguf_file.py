"""GGUF as llama.cpp's converter writes it, by the gguf package: names, types, and what changes on the way.

Queries and keys of `llama` are reordered so that neighbours rotate together; norms of `gemma3` have the one
that Gemma adds; vectors and norms are F32; a row that no K-quant's block divides takes a plainer type.
"""

import math
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize
from torch import Tensor

import kquants
from gguf_keys import ARCHITECTURES, head_dim, keys
from plain import Write

FILE = "model.gguf"
K_BITS = {Type.Q4_K: 4, Type.Q5_K: 5, Type.Q6_K: 6}
PLAINER = {Type.Q4_K: Type.Q5_0, Type.Q5_K: Type.Q5_1, Type.Q6_K: Type.Q8_0}
SUFFIXES = (".weight", ".bias")


def gguf_file(kind: str) -> Write:
    """A writer; matrices are of the type called `kind`."""
    def write(weights: dict[str, Tensor], config: dict, folder: Path) -> None:
        architecture = ARCHITECTURES[config["architectures"][0]]
        writer = gguf.GGUFWriter(folder / FILE, architecture)
        writer.add_type("model")
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        for key, value in keys(config).items():
            add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)]
            add(f"{architecture}.{key}", value)
        add_tokenizer(writer, config["vocab_size"])
        for name, factors in rope_factors(config).items():
            writer.add_tensor(name, np.array(factors, np.float32))
        names = gguf.get_tensor_name_map(known_as(architecture), config["num_hidden_layers"])
        heads = config["num_attention_heads"], config["num_key_value_heads"]
        for name, weight in weights.items():
            data, chosen = encoded(converted(name, weight, architecture, heads).numpy(), name, Type[kind])
            writer.add_tensor(names.get_name(name, SUFFIXES), data, raw_dtype=chosen)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return write


def known_as(name: str) -> gguf.MODEL_ARCH:
    return next(arch for arch, known in gguf.MODEL_ARCH_NAMES.items() if known == name)


def add_tokenizer(writer: gguf.GGUFWriter, vocab_size: int) -> None:
    """Made-up tokens, for readers that want some."""
    tokens = ["<unk>", "<s>", "</s>", *(f"▁{number}" for number in range(3, vocab_size))]
    types = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(number) for number in range(vocab_size)])
    writer.add_token_types(types + [gguf.TokenType.NORMAL] * (vocab_size - len(types)))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def rope_factors(config: dict) -> dict[str, list[float]]:
    """Divisors of frequencies that are tensors here: longrope's two, and those of Llama 3."""
    scaling = config.get("rope_scaling") or {}
    if "long_factor" in scaling:
        return {f"rope_factors_{regime}.weight": scaling[f"{regime}_factor"] for regime in ("long", "short")}
    if scaling.get("rope_type") != "llama3":
        return {}
    width = head_dim(config)
    turns = [scaling["original_max_position_embeddings"] * config["rope_theta"] ** (-pair / width) / math.tau
             for pair in range(0, width, 2)]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    kept = [min(max((turn - low) / (high - low), 0), 1) for turn in turns]
    return {"rope_freqs.weight": [1 / ((1 - part) / scaling["factor"] + part) for part in kept]}


def converted(name: str, weight: Tensor, architecture: str, heads: tuple[int, int]) -> Tensor:
    """What the converter makes of a weight."""
    if architecture == "gemma3" and name.endswith("norm.weight"):
        return weight + 1
    if architecture == "llama" and (count := heads_of(name, heads)):
        return weight.unflatten(0, (count, 2, -1)).transpose(1, 2).flatten(0, 2).contiguous()
    return weight


def restored(name: str, weight: Tensor, architecture: str, heads: tuple[int, int]) -> Tensor:
    """The inverse of `converted`."""
    if architecture == "gemma3" and name.endswith("norm.weight"):
        return weight - 1
    if architecture == "llama" and (count := heads_of(name, heads)):
        return weight.unflatten(0, (count, -1, 2)).transpose(1, 2).flatten(0, 2)
    return weight


def heads_of(name: str, heads: tuple[int, int]) -> int | None:
    """How many heads a tensor of queries or keys has."""
    return heads[0] if "q_proj" in name else heads[1] if "k_proj" in name else None


def encoded(data: np.ndarray, name: str, kind: Type) -> tuple[np.ndarray, Type]:
    """A tensor in the type it gets."""
    if data.ndim == 1 or name.endswith("norm.weight"):
        kind = Type.F32
    elif kind in K_BITS and data.shape[1] % kquants.BLOCK != 0:
        kind = PLAINER[kind]
    if kind not in K_BITS:
        return quantize(data, kind), kind
    packed = kquants.quantise(data, K_BITS[kind])
    error = np.abs(dequantize(packed, kind) - data).max() / np.abs(data).max()
    assert error < 2 ** (1 - K_BITS[kind]), f"{name} lost {error} in {kind.name}"
    return packed, kind


def read(folder: Path, names: list[str]) -> dict[str, Tensor]:
    """The weights called `names` in transformers, dequantised, as transformers has them."""
    reader = gguf.GGUFReader(folder / FILE)
    architecture = reader.fields["general.architecture"].contents()
    said = lambda key: reader.fields[f"{architecture}.{key}"].contents()
    heads = said("attention.head_count"), said("attention.head_count_kv")
    called = gguf.get_tensor_name_map(known_as(architecture), said("block_count"))
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    weights = {}
    for name in names:
        tensor = tensors[called.get_name(name, SUFFIXES)]
        data = dequantize(tensor.data, tensor.tensor_type)
        weights[name] = restored(name, torch.from_numpy(data.copy()), architecture, heads)
    return weights
