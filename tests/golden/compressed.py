"""compressed-tensors, format pack-quantized: what llm-compressor writes, packed and unpacked by its own package.

For a linear with K inputs and N outputs: `weight_packed` int32 (N, K/8), `weight_scale` (N, K/g) or (N, 1),
`weight_zero_point` int32 (N/8, K/g) or (N/8, 1) where asymmetric, `weight_shape` int64 (2).
"""

from pathlib import Path

import torch
from compressed_tensors.compressors import PackedQuantizationCompressor as Compressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams
from torch import Tensor

from awq import LINEARS
from plain import TYPES, Write, save


def compressed(dtype: str, group: int | None, symmetric: bool = True, ignore: list[str] | None = None) -> Write:
    """A writer; `group` None is one scale a row. Ignored modules stay plain, as all other tensors do."""
    ignore = ["lm_head", *(ignore or [])]

    def write(weights: dict[str, Tensor], config: dict, folder: Path) -> None:
        declared = quantization_config(group, symmetric, ignore)
        scheme = scheme_of(declared)
        tensors = {}
        for name, weight in weights.items():
            stem, weight = name.removesuffix(".weight"), weight.to(TYPES[dtype])
            if stem.endswith(LINEARS) and stem not in ignore:
                tensors |= {f"{stem}.{part}": tensor for part, tensor in packed(weight, scheme).items()}
            else:
                tensors[name] = weight
        save(tensors, config | {"quantization_config": declared}, folder)
    return write


def quantization_config(group: int | None, symmetric: bool, ignore: list[str]) -> dict:
    """The section of `config.json`."""
    weights = {
        "actorder": None, "block_structure": None, "dynamic": False, "group_size": group, "num_bits": 4,
        "observer": "minmax", "observer_kwargs": {}, "strategy": "group" if group else "channel",
        "symmetric": symmetric, "type": "int",
    }
    linears = {
        "format": "pack-quantized", "input_activations": None, "output_activations": None,
        "targets": ["Linear"], "weights": weights,
    }
    return {
        "config_groups": {"group_0": linears}, "format": "pack-quantized", "global_compression_ratio": None,
        "ignore": ignore, "kv_cache_scheme": None, "quant_method": "compressed-tensors",
        "quantization_status": "compressed", "sparsity_config": {}, "transform_config": {}, "version": "0.12.2",
    }


def scheme_of(declared: dict) -> QuantizationScheme:
    """What the section says of linears, to the package."""
    linears = declared["config_groups"]["group_0"]
    return QuantizationScheme(targets=linears["targets"], weights=QuantizationArgs(**linears["weights"]))


def packed(weight: Tensor, scheme: QuantizationScheme) -> dict[str, Tensor]:
    """The tensors that stand for one weight (N, K)."""
    groups = weight.unflatten(1, (-1, scheme.weights.group_size or weight.shape[1]))
    scale, zero_point = calculate_qparams(groups.amin(-1), groups.amax(-1), scheme.weights)
    state = {"weight": weight, "weight_scale": scale.to(weight.dtype), "weight_zero_point": zero_point.to(torch.int8)}
    return Compressor.compress(state, scheme)


def unpacked(tensors: dict[str, Tensor], declared: dict) -> dict[str, Tensor]:
    """Every weight of a folder in f32; the package would round products to the type of the scales."""
    scheme = scheme_of(declared)
    weights = {}
    for name, tensor in tensors.items():
        stem, _, part = name.rpartition(".")
        if part == "weight_packed":
            parts = ("weight_packed", "weight_scale", "weight_zero_point", "weight_shape")
            state = {part: tensors[f"{stem}.{part}"] for part in parts if f"{stem}.{part}" in tensors}
            state["weight_scale"] = state["weight_scale"].float()
            weights[f"{stem}.weight"] = Compressor.decompress(state, scheme)["weight"]
        elif not part.startswith("weight_"):
            weights[name] = tensor.float()
    return weights
