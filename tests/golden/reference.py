"""What transformers says: f32, eager attention, one forward pass without a cache over the stored weights."""

import copy
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from PIL import Image
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedConfig
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

# Storage is undone before transformers sees the weights.
STORAGE = ("quantization_config", "torch_dtype", "dtype", "transformers_version")


def configuration(published: dict) -> PreTrainedConfig:
    """The transformers object for a `config.json`."""
    told = copy.deepcopy({key: value for key, value in published.items() if key not in STORAGE})
    config = AutoConfig.for_model(**told)  # writes into the dicts it is given
    config._attn_implementation = "eager"
    return config


def fresh(config: PreTrainedConfig, published: dict) -> nn.Module:
    """A model of the published architecture, its weights of no interest yet."""
    torch.manual_seed(0)
    return getattr(transformers, published["architectures"][0])(config).float().eval()


def loaded(published: dict, read: Callable[[list[str]], dict[str, Tensor]]) -> nn.Module:
    """A model with exactly the weights that `read` returns for its names, and a head tied as it should be."""
    config = configuration(published)
    model = fresh(config, published)
    tied = config.get_text_config().tie_word_embeddings
    absent, strange = model.load_state_dict(read([name for name, _ in model.named_parameters()]), strict=False)
    assert not strange and set(absent) <= ({"lm_head.weight"} if tied else set()), (absent, strange)
    model.tie_weights()
    head, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    assert (head.data_ptr() == embedding.data_ptr()) == tied
    return model


@torch.inference_mode()
def logits(model: nn.Module, ids: list[int], images: list[Path]) -> Tensor:
    """One row for each of `ids`."""
    inputs = {"input_ids": torch.tensor([ids])}
    if images:
        # Soft tokens of a picture attend to each other both ways: transformers knows them by their type.
        inputs["token_type_ids"] = (inputs["input_ids"] == model.config.image_token_id).long()
        inputs["pixel_values"] = pixels(images)
    return model(**inputs, use_cache=False).logits[0]


def pixels(images: list[Path]) -> Tensor:
    """The pictures as the image processor of their folder prepares them, by Pillow."""
    processor = Gemma3ImageProcessorPil.from_pretrained(images[0].parent)
    pictures = [Image.open(image) for image in images]
    return processor(pictures, return_tensors="pt")["pixel_values"].float()
