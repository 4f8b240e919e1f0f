"""Reading a case back: whatever its files hold, as f32 weights under the names of transformers 5."""

import json
from pathlib import Path

from torch import Tensor

import awq
import compressed
import gguf_file
import plain


def config(folder: Path) -> dict | None:
    """`config.json`, if there is one."""
    path = folder / "config.json"
    return json.loads(path.read_text()) if path.exists() else None


def read(folder: Path, names: list[str]) -> dict[str, Tensor]:
    """The weights called `names`. Nothing is taken from the writer but the files."""
    if (folder / gguf_file.FILE).exists():
        return gguf_file.read(folder, names)
    tensors = plain.load(folder)
    older = folder / "quant_config.json"
    if older.exists():
        return awq.unpacked(tensors, json.loads(older.read_text()))
    told = config(folder).get("quantization_config", {})
    if told.get("quant_method") == "awq":
        return awq.unpacked(tensors, told)
    if told.get("quant_method") == "compressed-tensors":
        return compressed.unpacked(tensors, told)
    return {name: tensor.float() for name, tensor in tensors.items()}
