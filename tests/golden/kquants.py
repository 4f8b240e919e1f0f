"""Q4_K, Q5_K and Q6_K, which the gguf package can read but not write: blocks of 256, rounded to nearest.

Q4_K and Q5_K: x = d * scale * q - dmin * min, with a 6-bit scale and min for each 32 weights.
Q6_K: x = d * scale * (q - 32), with an int8 scale for each 16 weights.
"""

import numpy as np

BLOCK = 256


def quantise(rows: np.ndarray, bits: int) -> np.ndarray:
    """Rows of f32, a multiple of 256 wide, to rows of bytes."""
    blocks = rows.reshape(-1, BLOCK)
    packed = six(blocks) if bits == 6 else with_minimum(blocks, bits)
    return packed.reshape(len(rows), -1)


def with_minimum(blocks: np.ndarray, bits: int) -> np.ndarray:
    """Q4_K or Q5_K: d and dmin in f16, twelve bytes of scales and mins, the fifth bits, the nibbles."""
    levels = 2**bits - 1
    eighths = blocks.reshape(-1, 8, 32)
    lowest = np.maximum(-eighths.min(-1), 0)
    range_ = eighths.max(-1) + lowest
    d, scale = six_bits(range_ / levels)
    dmin, least = six_bits(lowest)
    step = (d * scale)[..., None]
    q = (eighths + (dmin * least)[..., None]) / np.where(step > 0, step, 1)
    q = q.round().clip(0, levels).astype(np.uint8)
    parts = [half(d), half(dmin), scales_and_mins(scale, least)]
    if bits == 5:  # bit i of byte j is the fifth bit of weight j of eighth i
        fifth = (q >> 4) << np.arange(8, dtype=np.uint8)[:, None]
        parts.append(np.bitwise_or.reduce(fifth, axis=1))
    pairs = (q & 15).reshape(-1, 4, 2, 32)
    parts.append((pairs[:, :, 0] | pairs[:, :, 1] << 4).reshape(-1, 128))
    return np.concatenate(parts, axis=1)


def six_bits(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eight numbers of a block as a shared f16 factor and integers up to 63."""
    factor = (values.max(-1, keepdims=True) / 63).astype(np.float16).astype(np.float32)
    return factor, (values / np.where(factor > 0, factor, 1)).round().clip(0, 63).astype(np.uint8)


def scales_and_mins(scale: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Sixteen 6-bit integers in twelve bytes: the upper bits of the last eight lie above the first eight."""
    first = np.concatenate([scale[:, :4] | scale[:, 4:] >> 4 << 6, least[:, :4] | least[:, 4:] >> 4 << 6], axis=1)
    return np.concatenate([first, scale[:, 4:] & 15 | (least[:, 4:] & 15) << 4], axis=1)


def six(blocks: np.ndarray) -> np.ndarray:
    """Q6_K: 128 bytes of low nibbles, 64 of high pairs of bits, 16 scales, d in f16."""
    sixteenths = blocks.reshape(-1, 16, 16)
    furthest = np.abs(sixteenths).max(-1)
    d = (furthest.max(-1, keepdims=True) / 31 / 127).astype(np.float16).astype(np.float32)
    scale = (furthest / 31 / np.where(d > 0, d, 1)).round().clip(0, 127).astype(np.int8)
    step = (d * scale)[..., None]
    q = (sixteenths / np.where(step > 0, step, 1)).round().clip(-32, 31) + 32
    quarters = q.astype(np.uint8).reshape(-1, 2, 4, 32)  # of each half
    low, high = quarters & 15, quarters >> 4
    nibbles = np.stack([low[:, :, 0] | low[:, :, 2] << 4, low[:, :, 1] | low[:, :, 3] << 4], axis=2)
    pairs = high[:, :, 0] | high[:, :, 1] << 2 | high[:, :, 2] << 4 | high[:, :, 3] << 6
    return np.concatenate([nibbles.reshape(-1, 128), pairs.reshape(-1, 64), scale.view(np.uint8), half(d)], axis=1)


def half(numbers: np.ndarray) -> np.ndarray:
    """f16 as two bytes each."""
    return numbers.astype(np.float16).view(np.uint8)
