#!/usr/bin/env python3
"""Build the golden encoders: small checkpoints that make vectors of texts, and what transformers makes of a few."""

import json
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

import plain
import reference
from weights import random_weights

FOLDER = Path(__file__).parent / "encoders"
FILE_BYTES_MAX = 200_000
PIECES = 160  # of a vocabulary

# What vocabularies are learned from, and what is encoded: capitals, accents, other scripts, words that are no pieces,
# a text that spells a control token, one that is empty, and one of many words.
TEXTS = [
    "The capital of France is Paris.",
    "query: Wie spät ist es in Köln?",
    "naïve café — 3.14 Ünïcode!",
    "zażółć gęślą jaźń, 東京タワー",
    "who writes [SEP] or </s> means the letters",
    "",
    "a signal box stands beside the line and sets the points before a train comes",
]


@dataclass(frozen=True)
class Case:
    """One encoder."""

    name: str
    config: dict
    dtype: str
    pieces: str  # the kind of the tokenizer
    pooling: str = "mean"
    listed: bool = False  # the vocabulary is a vocab.txt without a tokenizer.json
    longest: int | None = None  # max_seq_length


SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 128, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "type_vocab_size": 2,
}
BERT = SMALL | {"architectures": ["BertModel"], "model_type": "bert", "pad_token_id": 0}
XLMR = SMALL | {
    "architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta", "pad_token_id": 1, "layer_norm_eps": 1e-5,
    "type_vocab_size": 1,
}
CASES = [
    Case("bert-wordpiece-mean-f32", BERT, "f32", "wordpiece", longest=64),
    Case("bert-vocabulary-cls-bf16", BERT, "bf16", "wordpiece", pooling="cls", listed=True),
    # 512 inputs and more are packed.
    Case("bert-unigram-wide-f32", BERT | {"intermediate_size": 544, "num_hidden_layers": 1}, "f32", "unigram"),
    Case("xlmr-unigram-mean-f16", XLMR, "f16", "unigram"),
    Case("roberta-unigram-cls-f32", XLMR | {"architectures": ["RobertaModel"], "model_type": "roberta"}, "f32", "unigram",
         pooling="cls"),
]


def main() -> None:
    torch.set_num_threads(1)
    shutil.rmtree(FOLDER, ignore_errors=True)
    for case in CASES:
        print(f"{case.name:28} {build(case)}", flush=True)


def build(case: Case) -> str:
    folder = FOLDER / case.name
    folder.mkdir(parents=True)
    tokenizer = {"wordpiece": wordpiece, "unigram": unigram}[case.pieces](case, folder)
    published = case.config | {"vocab_size": len(tokenizer)}
    config = reference.configuration(published)
    weights = random_weights(reference.fresh(config, published), config, zlib.crc32(case.name.encode()))
    plain.plain(case.dtype)(weights, published, folder)
    write_sentences(case, folder)
    model = reference.fresh(config, published)
    stored = plain.load(folder)
    model.load_state_dict({name: stored[name].float() for name, _ in model.named_parameters()}, strict=False)
    ids = [tokenizer(text, split_special_tokens=True)["input_ids"] for text in TEXTS]
    vectors = [vector(model, text, case.pooling) for text in ids]
    write_expected(folder, ids, vectors)
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    assert max(sizes) < FILE_BYTES_MAX, sizes
    return f"{sum(sizes) / 1000:6.0f} kB   cosine of the first two {float(vectors[0] @ vectors[1]):.2f}"


@torch.inference_mode()
def vector(model: torch.nn.Module, ids: list[int], pooling: str) -> torch.Tensor:
    """Of one text by itself, so that nothing is padding."""
    rows = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    pooled = rows.mean(0) if pooling == "mean" else rows[0]
    return pooled / pooled.norm()


def wordpiece(case: Case, folder: Path) -> transformers.PreTrainedTokenizerFast:
    """BERT's: lower case without accents, and words cut into pieces."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=PIECES, special_tokens=special, show_progress=False))
    pieces = sorted(tokenizer.get_vocab().items(), key=lambda piece: piece[1])
    (folder / "vocab.txt").write_text("".join(piece + "\n" for piece, _ in pieces))
    fast = transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=True)
    assert len(fast) == len(pieces)
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 128}
    plain.write_json(folder / "tokenizer_config.json", settings)
    if not case.listed:
        (folder / "vocab.txt").unlink()
        write_tokenizer(fast.backend_tokenizer, folder)
    return fast


def unigram(case: Case, folder: Path) -> transformers.PreTrainedTokenizerFast:
    """XLM-R's: SentencePiece's likeliest pieces between <s> and </s>."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" {2,}", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=PIECES, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    write_tokenizer(tokenizer, folder)
    named = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    (folder / "tokenizer.json").write_text(tokenizer.to_str() + "\n")


def write_sentences(case: Case, folder: Path) -> None:
    """What sentence-transformers writes beside a checkpoint."""
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    steps = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(kinds)
    ]
    plain.write_json(folder / "modules.json", steps)
    (folder / "1_Pooling").mkdir()
    modes = {"cls": "cls_token", "mean": "mean_tokens"}
    flags = {f"pooling_mode_{mode}": name == case.pooling for name, mode in modes.items()}
    plain.write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32} | flags)
    if case.longest:
        plain.write_json(folder / "sentence_bert_config.json", {"max_seq_length": case.longest, "do_lower_case": False})


def write_expected(folder: Path, ids: list[list[int]], vectors: list[torch.Tensor]) -> None:
    """A text a line, seven digits a number."""
    lines = [
        json.dumps({"text": text, "ids": tokens}, ensure_ascii=False)[:-1]
        + ', "vector": [' + ",".join(f"{number:.7g}" for number in vector.tolist()) + "]}"
        for text, tokens, vector in zip(TEXTS, ids, vectors)
    ]
    (folder / "expected.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
