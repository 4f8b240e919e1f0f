"""AWQ "gemm" storage: quantise, pack, unpack, dequantise.

Why it exists: four of the five toys are published the way AutoAWQ publishes a model, so that the
engine's loader meets the real layout.  The layout, for a linear with K inputs and N outputs:

    qweight  int32 (K, N/8)      eight 4-bit weights a word, K-major
    qzeros   int32 (K/128, N/8)  eight 4-bit zero points a word
    scales   f16   (K/128, N)
    W[n, k] = (q[k, n] - z[k/128, n]) * s[k/128, n]

A word's nibble i (bits 4i..4i+3) holds column 8j + ORDER[i]: the order AutoAWQ's CUDA kernel likes.

The integers come from plain round-to-nearest, one asymmetric range per group.  There is no
activation-aware scaling: a toy that trained under `FakeQuant` needs none, and such scales would be
folded into neighbouring weights anyway, invisible to whoever loads the file.
"""

import numpy as np
import torch
from torch import Tensor, nn

BITS = 4
GROUP = 128
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
LEVELS = 2**BITS - 1
SMALLEST_SCALE = 1e-4  # still a normal f16 number


def quantise(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, K) -> q (N, K/g, g) and z, s (N, K/g), all f32; s is already rounded to f16."""
    groups = weight.detach().float().unflatten(1, (-1, GROUP))
    low = groups.amin(-1).clamp(max=0)
    high = groups.amax(-1).clamp(min=0)
    scales = ((high - low) / LEVELS).clamp(min=SMALLEST_SCALE).half().float()
    zeros = (-low / scales).round().clamp(0, LEVELS)
    q = (groups / scales[..., None] + zeros[..., None]).round().clamp(0, LEVELS)
    return q, zeros, scales


class FakeQuant(nn.Module):
    """Straight-through rounding: forward sees the 4-bit weight, the gradient sees the real one."""

    def forward(self, weight: Tensor) -> Tensor:
        q, zeros, scales = quantise(weight)
        rounded = ((q - zeros[..., None]) * scales[..., None]).flatten(1)
        return weight + (rounded - weight).detach()


def pack(nibbles: np.ndarray) -> np.ndarray:
    """(rows, N) values 0..15 -> int32 (rows, N/8)."""
    columns = nibbles.astype(np.uint32).reshape(len(nibbles), -1, 8)
    words = np.zeros(columns.shape[:2], np.uint32)
    for i, column in enumerate(ORDER):
        words |= columns[..., column] << np.uint32(BITS * i)
    return words.view(np.int32)


def unpack(words: np.ndarray) -> np.ndarray:
    """int32 (rows, N/8) -> (rows, N) values 0..15; the inverse of `pack`."""
    bits = np.ascontiguousarray(words).view(np.uint32)
    columns = np.empty((*bits.shape, 8), np.uint8)
    for i, column in enumerate(ORDER):
        columns[..., column] = (bits >> np.uint32(BITS * i)) & LEVELS
    return columns.reshape(len(bits), -1)


def compress(weight: Tensor) -> dict[str, Tensor]:
    """(N, K) -> the three tensors AutoAWQ stores in the weight's place."""
    q, zeros, scales = quantise(weight)
    nibbles = q.flatten(1).T.numpy().astype(np.uint8)  # (K, N)
    zero_nibbles = zeros.T.numpy().astype(np.uint8)  # (K/g, N)
    qweight, qzeros = pack(nibbles), pack(zero_nibbles)
    assert (unpack(qweight) == nibbles).all() and (unpack(qzeros) == zero_nibbles).all()
    return {
        "qweight": torch.from_numpy(qweight),
        "qzeros": torch.from_numpy(qzeros),
        "scales": scales.T.half().contiguous(),
    }


def restore(qweight: Tensor, qzeros: Tensor, scales: Tensor) -> Tensor:
    """The three stored tensors -> f32 weight (N, K).  Exact: integer times f16 fits an f32."""
    q = torch.from_numpy(unpack(qweight.numpy())).float()  # (K, N)
    zeros = torch.from_numpy(unpack(qzeros.numpy())).float()
    spread = lambda per_group: per_group.float().repeat_interleave(GROUP, 0)
    return ((q - spread(zeros)) * spread(scales)).T.contiguous()
