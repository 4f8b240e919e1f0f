"""Plain safetensors: a floating-point type, one file or shards, and Gemma's two namings."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

INDEX = "model.safetensors.index.json"
# The name inside transformers 5, and as transformers 4 published it; of models that see only.
GEMMA_4 = [
    ("model.language_model.", "language_model.model."),
    ("model.vision_tower.", "vision_tower.vision_model."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
    ("lm_head.", "language_model.lm_head."),
]
TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}

Write = Callable[[dict[str, Tensor], dict, Path], None]


def plain(dtype: str, shards: int = 1, gemma_4: bool = False) -> Write:
    """A writer of weights as they are, but for their type."""
    def write(weights: dict[str, Tensor], config: dict, folder: Path) -> None:
        named = {published(name) if gemma_4 else name: weight for name, weight in weights.items()}
        save({name: weight.to(TYPES[dtype]) for name, weight in named.items()}, config, folder, shards)
    return write


def save(tensors: dict[str, Tensor], config: dict, folder: Path, shards: int = 1) -> None:
    """The folder of a model: one file, or about equal shards and the index that says what lies where."""
    write_json(folder / "config.json", config)
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    if shards == 1:
        write_file(tensors, folder / "model.safetensors")
        return
    total = sum(tensor.nbytes for tensor in tensors.values())
    where, written = {}, 0
    for name, tensor in tensors.items():
        shard = min(written * shards // total, shards - 1)
        where[name] = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        written += tensor.nbytes
    for file in sorted(set(where.values())):
        chosen = {name: tensor for name, tensor in tensors.items() if where[name] == file}
        write_file(chosen, folder / file)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))}
    write_json(folder / INDEX, index)


def write_file(tensors: dict[str, Tensor], path: Path) -> None:
    save_file(tensors, path, {"format": "pt"})
    path.chmod(0o644)  # save_file leaves 0600


def write_json(path: Path, contents: dict) -> None:
    path.write_text(json.dumps(contents, indent=2) + "\n")


def load(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a folder as stored, under the names of transformers 5."""
    files = ["model.safetensors"]
    if (folder / INDEX).exists():
        files = sorted(set(json.loads((folder / INDEX).read_text())["weight_map"].values()))
    tensors = {name: tensor for file in files for name, tensor in load_file(folder / file).items()}
    if any(name.startswith("language_model.") for name in tensors):
        tensors = {inside(name): tensor for name, tensor in tensors.items()}
    return tensors


def published(name: str) -> str:
    """The transformers 4 name of a tensor of a Gemma that sees."""
    for new, old in GEMMA_4:
        if name.startswith(new):
            return old + name.removeprefix(new)
    return name


def inside(name: str) -> str:
    """The inverse of `published`."""
    for new, old in GEMMA_4:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
