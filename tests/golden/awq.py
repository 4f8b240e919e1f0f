"""AWQ as AutoAWQ writes it: 4-bit linears, each group of inputs with a scale and a zero point.

For a linear with K inputs and N outputs, W[n, k] = (q[n, k] - z[n, k / g]) * s[n, k / g], in two layouts
(AutoAWQ, awq/modules/linear/gemm.py and gemv.py, `from_linear`):

    gemm  qweight (K, N/8), qzeros (K/g, N/8), scales (K/g, N)
          a word holds eight outputs, nibble i that of output ORDER[i]
    gemv  qweight (N, K/8), qzeros (N, Z), scales (N, 8 Z)
          a word holds eight inputs (or groups) in sequence; Z words hold K/g nibbles, rounded up to a
          multiple of 1, 2 or 4 for groups of 128, 64 and 32; what is behind them is zero

Everything else is f16. Newer files say so in `quantization_config`, older ones in `quant_config.json`.
"""

import math
from pathlib import Path

import torch
from torch import Tensor

from plain import Write, save, write_json

ORDER = {"gemm": [0, 2, 4, 6, 1, 3, 5, 7], "gemv": [0, 1, 2, 3, 4, 5, 6, 7]}
PADDING = {128: 1, 64: 2, 32: 4}
LINEARS = ("qkv_proj", "q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "gate_proj", "up_proj", "down_proj")


def awq(group: int, version: str = "gemm", skip: list[str] | None = None, older: bool = False) -> Write:
    """A writer; modules whose name contains one of `skip` stay plain."""
    def write(weights: dict[str, Tensor], config: dict, folder: Path) -> None:
        tensors = {}
        for name, weight in weights.items():
            stem = name.removesuffix(".weight")
            if stem.endswith(LINEARS) and not any(skipped in stem for skipped in skip or []):
                tensors |= {f"{stem}.{part}": tensor for part, tensor in packed(weight, group, version).items()}
            else:
                tensors[name] = weight.half()
        if older:
            declared = {"zero_point": True, "q_group_size": group, "w_bit": 4, "version": version.upper()}
            write_json(folder / "quant_config.json", declared)
        else:
            declared = {"bits": 4, "group_size": group, "modules_to_not_convert": skip, "quant_method": "awq",
                    "version": version, "zero_point": True}
            config = config | {"quantization_config": declared}
        save(tensors, config, folder)
    return write


def packed(weight: Tensor, group: int, version: str) -> dict[str, Tensor]:
    """The three tensors that stand for one weight (N, K)."""
    groups = weight.unflatten(1, (-1, group))
    low, high = groups.amin(-1), groups.amax(-1)
    scales = ((high - low) / 15).half()  # (N, K/g)
    zeros = (-low / scales.float()).round().clamp(0, 15)
    quants = (groups / scales.float()[..., None] + zeros[..., None]).round().clamp(0, 15).flatten(1)
    order = ORDER[version]
    if version == "gemm":
        parts = {"qweight": words(quants.T, order), "qzeros": words(zeros.T, order), "scales": scales.T}
        return {part: tensor.contiguous() for part, tensor in parts.items()}
    width = math.ceil(math.ceil(zeros.shape[1] / 8) / PADDING[group]) * PADDING[group]
    pad = (0, 8 * width - zeros.shape[1])
    zeros, scales = torch.nn.functional.pad(zeros, pad), torch.nn.functional.pad(scales, pad)
    return {"qweight": words(quants, order), "qzeros": words(zeros, order), "scales": scales}


def words(nibbles: Tensor, order: list[int]) -> Tensor:
    """Eight values of a row to an int32; nibble i is the value at `order[i]`."""
    eights = nibbles.to(torch.int64).unflatten(1, (-1, 8))[..., order]
    return (eights << torch.arange(0, 32, 4)).sum(-1).to(torch.uint32).view(torch.int32)


def nibbles(packed: Tensor, order: list[int]) -> Tensor:
    """The inverse of `words`, as f32."""
    eights = (packed[..., None] >> torch.arange(0, 32, 4, dtype=torch.int32)) & 15
    return eights[..., torch.tensor(order).argsort()].flatten(1).float()


def unpacked(tensors: dict[str, Tensor], config: dict) -> dict[str, Tensor]:
    """Every weight of a folder in f32; an integer times an f16 is exact."""
    version, group = config["version"].lower(), config.get("group_size") or config["q_group_size"]
    weights = {}
    for name, tensor in tensors.items():
        stem, _, part = name.rpartition(".")
        if part == "qweight":
            parts = tensor, tensors[f"{stem}.qzeros"], tensors[f"{stem}.scales"]
            weights[f"{stem}.weight"] = weight_of(*parts, version, group)
        elif part not in ("qzeros", "scales"):
            weights[name] = tensor.float()
    return weights


def weight_of(qweight: Tensor, qzeros: Tensor, scales: Tensor, version: str, group: int) -> Tensor:
    """The weight (N, K) that three tensors stand for."""
    quants, zeros, scales = nibbles(qweight, ORDER[version]), nibbles(qzeros, ORDER[version]), scales.float()
    if version == "gemm":
        quants, zeros, scales = quants.T, zeros.T, scales.T
    spread = lambda of_group: of_group[:, : quants.shape[1] // group].repeat_interleave(group, 1)
    return (quants - spread(zeros)) * spread(scales)
