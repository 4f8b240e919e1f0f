#!/usr/bin/env python3
"""Build the golden cross-encoders: small checkpoints that score one text for another, and what transformers makes of a few pairs."""

import json
import math
import shutil
import zlib
from pathlib import Path

import torch
import transformers
from tokenizers import processors

import encoders
import plain
import reference
from encoders import BERT, FILE_BYTES_MAX, TEXTS, XLMR, Case
from weights import random_weights

FOLDER = Path(__file__).parent / "rankers"
MOST = 24  # tokens of a pair that is cut

ONE_LABEL = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
CASES = [
    Case("bert-wordpiece-pooler-f32", BERT | ONE_LABEL | {"architectures": ["BertForSequenceClassification"]}, "f32", "wordpiece"),
    Case("xlmr-unigram-classifier-f16", XLMR | ONE_LABEL | {"architectures": ["XLMRobertaForSequenceClassification"]}, "f16", "unigram"),
    Case("roberta-unigram-classifier-f32",
         XLMR | ONE_LABEL | {"architectures": ["RobertaForSequenceClassification"], "model_type": "roberta"}, "f32", "unigram"),
]


def main() -> None:
    torch.set_num_threads(1)
    shutil.rmtree(FOLDER, ignore_errors=True)
    for case in CASES:
        print(f"{case.name:32} {build(case)}", flush=True)


def build(case: Case) -> str:
    folder = FOLDER / case.name
    folder.mkdir(parents=True)
    tokenizer = {"wordpiece": encoders.wordpiece, "unigram": unigram}[case.pieces](case, folder)
    published = case.config | {"vocab_size": len(tokenizer)}
    config = reference.configuration(published)
    weights = random_weights(reference.fresh(config, published), config, zlib.crc32(case.name.encode()))
    spread(weights, config, published, tokenizer)
    plain.plain(case.dtype)(weights, published, folder)
    model = reference.fresh(config, published)
    stored = plain.load(folder)
    absent, strange = model.load_state_dict({name: stored[name].float() for name, _ in model.named_parameters()}, strict=False)
    assert not strange and all(name.endswith("_ids") for name in absent), (absent, strange)
    pairs = [(query, text) for query in TEXTS[:2] for text in TEXTS[2:] if text]  # nobody ranks a text without a word
    lines = [scored(model, tokenizer, pair, None) for pair in pairs]
    # The longer one of two is cut, whichever that is, and both where both are long.
    lines += [scored(model, tokenizer, pair, MOST) for pair in [(TEXTS[0], TEXTS[6]), (TEXTS[6], TEXTS[1]), (TEXTS[6], TEXTS[6])]]
    (folder / "expected.json").write_text("[\n" + ",\n".join(map(json_line, lines)) + "\n]\n")
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    assert max(sizes) < FILE_BYTES_MAX, sizes
    scores = [line["score"] for line in lines]
    return f"{sum(sizes) / 1000:6.0f} kB   scores {min(scores):.2f} to {max(scores):.2f}"


def spread(weights: dict, config: transformers.PreTrainedConfig, published: dict, tokenizer: transformers.PreTrainedTokenizerFast) -> None:
    """Scales what makes the logit, and moves it, so that scores differ and are neither near 0 nor near 1."""
    out = "classifier" if "classifier.weight" in weights else "classifier.out_proj"
    weights[f"{out}.weight"] *= 5
    model = reference.fresh(config, published)
    model.load_state_dict(weights, strict=False)
    logits = [logit(model, tokenizer(TEXTS[0], text, return_token_type_ids=True)) for text in TEXTS]
    weights[f"{out}.bias"] -= sum(logits) / len(logits)


@torch.inference_mode()
def logit(model: torch.nn.Module, told: dict) -> float:
    """Of one pair by itself, so that nothing is padding."""
    ids, kinds = torch.tensor([told["input_ids"]]), torch.tensor([told["token_type_ids"]])
    logits = model(input_ids=ids, token_type_ids=kinds).logits
    assert logits.shape == (1, 1)
    return float(logits)


def json_line(line: dict) -> str:
    return json.dumps(line, ensure_ascii=False)


def scored(model: torch.nn.Module, tokenizer: transformers.PreTrainedTokenizerFast, pair: tuple[str, str], most: int | None) -> dict:
    """A pair, and the sigmoid of its logit, as sentence-transformers has it."""
    cut = {"truncation": "longest_first", "max_length": most} if most else {}
    told = tokenizer(*pair, split_special_tokens=True, return_token_type_ids=True, **cut)
    assert not most or len(told["input_ids"]) == most
    score = 1 / (1 + math.exp(-logit(model, told)))
    query, text = pair
    return {"query": query, "text": text, "most": most, "tokens": len(told["input_ids"]), "score": float(f"{score:.7g}")}


def unigram(case: Case, folder: Path) -> transformers.PreTrainedTokenizerFast:
    """XLM-R's, with its four marks around two texts, which are of one kind."""
    fast = encoders.unigram(case, folder)
    fast.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    encoders.write_tokenizer(fast.backend_tokenizer, folder)
    return fast


if __name__ == "__main__":
    main()
