"""The five tokenizers: small vocabularies inside the published models' machinery.

Each builder trains a BPE on the lessons and dresses it as the real `tokenizer.json` is dressed:
same normalizer, pre-tokenizer, decoder, post-processor and special-token strings.  Phi, Qwen and
Aya are byte-level; Mistral and Gemma are SentencePiece models turned into `tokenizer.json`, with
byte fallback and "▁" for space.  Special-token ids differ from the real ones on purpose: an engine
must read them, not know them.
"""

import json
from collections.abc import Iterable

from tokenizers import (
    AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers,
)

O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+",
])
QWEN = "|".join([
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)", r"[^\r\n\p{L}\p{N}]?\p{L}+", r"\p{N}",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+",
])
# How SentencePiece cut the text before it learnt pieces: "▁" only ever starts one, digits stand alone.
PIECES = r"▁?\p{L}+|\p{N}|▁?[^▁\p{L}\p{N}\n]|▁+|\n+"


def phi(texts: Iterable[str], size: int) -> Tokenizer:
    split = [pre_tokenizers.Split(Regex(O200K), "isolated", invert=False),
             pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    tokenizer = _byte_level(texts, size, split, normalizer=None)
    _append(tokenizer, ["<|endoftext|>", "<|assistant|>", "<|end|>", "<|user|>", "<|system|>",
                        "<|tool|>", "<|/tool|>", "<|tool_call|>", "<|/tool_call|>", "<|tool_response|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def qwen(texts: Iterable[str], size: int) -> Tokenizer:
    split = [pre_tokenizers.Split(Regex(QWEN), "isolated", invert=False),
             pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    tokenizer = _byte_level(texts, size, split, normalizers.NFC())
    _append(tokenizer, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    plain = ["<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"]
    tokenizer.add_tokens([AddedToken(t, normalized=False, special=False) for t in plain])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def aya(texts: Iterable[str], size: int) -> Tokenizer:
    head = ["<PAD_TOKEN>", "<UNK_TOKEN>", "<CLS_TOKEN>", "<SEP_TOKEN>", "<MASK_TOKEN>",
            "<BOS_TOKEN>", "<EOS_TOKEN>", "<EOP_TOKEN>"]
    split = [pre_tokenizers.Digits(individual_digits=True),
             pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    tokenizer = _byte_level(texts, size, split, normalizers.NFC(), head)
    _append(tokenizer, ["<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>",
                        "<|CHATBOT_TOKEN|>", "<|SYSTEM_TOKEN|>"])
    tokenizer.post_processor = _starts_with(tokenizer, "<BOS_TOKEN>")
    return tokenizer


def mistral(texts: Iterable[str], size: int) -> Tokenizer:
    lines = [line for text in texts for line in text.splitlines()]  # newline stays a byte, as in Llama
    tokenizer = _pieces(lines, size, ["<unk>", "<s>", "</s>"], prefix="▁")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = _starts_with(tokenizer, "<s>")
    return tokenizer


def gemma(texts: Iterable[str], size: int) -> Tokenizer:
    head = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>",
            "<start_of_image>", "<end_of_image>"]
    tokenizer = _pieces(texts, size, head, prefix="")
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous", invert=False)
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    _append(tokenizer, ["<image_soft_token>"])  # last, as in the real vocabulary
    tokenizer.post_processor = _starts_with(tokenizer, "<bos>")
    return tokenizer


def _byte_level(texts, size, split, normalizer, head=()) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, min_frequency=2, special_tokens=list(head), show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    return tokenizer


def _pieces(texts, size, head, prefix) -> Tokenizer:
    """A SentencePiece-shaped BPE: specials, then 256 byte tokens, then pieces.  Characters outside
    the 72 commonest get no piece, so that accents and symbols really use the byte fallback."""
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), "isolated")
    learner.train_from_iterator(
        (prefix + text.replace(" ", "▁") for text in texts),
        trainers.BpeTrainer(vocab_size=size - len(head) - len(bytes_), min_frequency=2,
                            limit_alphabet=72, show_progress=False))
    learnt = json.loads(learner.to_str())["model"]
    pieces = sorted(learnt["vocab"], key=learnt["vocab"].get)
    vocab = {token: i for i, token in enumerate([*head, *bytes_, *pieces])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m) for m in learnt["merges"]],
                                     unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    _append(tokenizer, head)
    return tokenizer


def _append(tokenizer: Tokenizer, specials: list[str]) -> None:
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in specials])


def _starts_with(tokenizer: Tokenizer, bos: str):
    return processors.TemplateProcessing(
        single=[bos, "$A"], pair=[bos, "$A", f"{bos}:1", "$B:1"],
        special_tokens=[(bos, tokenizer.token_to_id(bos))])
