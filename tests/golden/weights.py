"""Random weights that make a model think: logits that differ, attention that chooses, norms and biases that matter."""

import math

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

SPREAD = 2.0  # standard deviation of logits to aim at
FOCUS = 1.4  # of queries and keys; the scores of a row then differ by about its square


def random_weights(model: nn.Module, config: PreTrainedConfig, seed: int) -> dict[str, Tensor]:
    """A weight for every parameter of `model`, under its transformers name, f32; none for a tied head."""
    text = config.get_text_config()
    draw = torch.Generator().manual_seed(seed)
    tied = text.tie_word_embeddings
    weights = {}
    for name, parameter in model.named_parameters():  # names a tied head once, as the embedding
        noise = torch.randn(parameter.shape, generator=draw)
        # A vector that is not random in a fresh model is a norm or a bias; its value is the neutral one.
        if parameter.ndim == 1 or "norm" in name:
            # Behind a block, a norm is all that keeps the embedding from drowning the block out.
            behind = "post_" in name and not parameter.any()
            focus = 0.3 if name.endswith(("q_norm.weight", "k_norm.weight")) else 0.0
            weights[name] = parameter.detach() + 0.3 * noise + (1.5 if behind else focus)
        else:
            weights[name] = noise * scale_of(name, parameter, text, tied)
    return weights


def scale_of(name: str, parameter: Tensor, text: PreTrainedConfig, tied: bool) -> float:
    """Standard deviation of the elements of one matrix."""
    fan_in = parameter[0].numel()
    head = SPREAD / math.sqrt(text.hidden_size) / getattr(text, "logit_scale", 1.0)
    stream = head if tied else 0.5  # what embeddings bring into the residual stream
    vision = "vision_tower" in name
    if name.endswith("position_embedding.weight"):
        return 0.5
    if name.endswith("patch_embedding.weight"):
        return SPREAD / math.sqrt(fan_in)
    if name.endswith("embed_tokens.weight"):
        return stream
    if name.endswith("lm_head.weight"):
        return head
    if name.endswith("mm_input_projection_weight"):  # (vision, text): the only one that is not transposed
        return SPREAD / math.sqrt(parameter.shape[0])
    if name.endswith(("o_proj.weight", "down_proj.weight")) and not vision:
        return 2 * stream / math.sqrt(fan_in)
    if name.endswith(("q_proj.weight", "k_proj.weight", "qkv_proj.weight")):
        return FOCUS / math.sqrt(fan_in)
    return 1.2 / math.sqrt(fan_in)


def with_large_key_biases(weights: dict[str, Tensor]) -> None:
    """Key biases of about a hundred where rotation is slowest, as Qwen2 has them.

    They move all scores of a query alike, so attention is as before; but f16 loses what is behind them.
    """
    for name, bias in weights.items():
        if name.endswith("k_proj.bias"):
            heads = bias.unflatten(0, (2, 2, -1))  # (heads, halves, pairs), a view
            heads[..., -1] = torch.tensor([[97.0, -110.0], [-104.0, 89.0]])
