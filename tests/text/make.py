#!/usr/bin/env python3
"""Record how the reference tokenizers and templates read the corpus, so that ours can be compared.

    python tests/text/make.py                        the toys: seconds
    python tests/text/make.py smollm2 gemma3 qwen    the real models, once tests/models/fetch has them

`corpus.json` is written by hand. Its `texts` are plain; its `controls` spell control tokens, which
are text when a user writes them; its `conversations` go through the chat template.
"""

import argparse
import json
import os
from pathlib import Path

from jinja2 import TemplateError
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

import references

HERE = Path(__file__).resolve().parent
MERGED = ("mistral_balanced",)
SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="toys or real models; default the toys")
    chosen = os.environ.get("SIGNALBOX_MODEL_CACHE")
    folder = Path(chosen) if chosen else Path.home() / ".cache/signalbox/models"
    corpus = json.loads((HERE / "corpus.json").read_text(encoding="utf-8"))
    for name in parser.parse_args().names or references.TOYS:
        if name in references.FILES:
            metadata = references.Metadata(folder / references.FILES[name])
            speaker = dress(references.real(name, folder), metadata.template, {
                f"{role}_token": text for role, text in metadata.special.items() if role in ("bos", "eos")})
        else:
            speaker = dress(references.toy(name), *published(references.MODELS / name))
        write(HERE / f"{name}.json", record(speaker, corpus, name in MERGED))


def published(folder: Path) -> tuple[str, dict]:
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    file = folder / "chat_template.jinja"
    template = file.read_text(encoding="utf-8") if file.exists() else config["chat_template"]
    return template, {role: config[role] for role in SPECIAL if role in config}


def dress(tokenizer: Tokenizer, template: str | None, special: dict) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=template,
                                   clean_up_tokenization_spaces=False, **special)


def record(speaker: PreTrainedTokenizerFast, corpus: dict, merged: bool) -> dict:
    tokenizer = speaker.backend_tokenizer
    texts = {name: read(tokenizer, text) for name, text in corpus["texts"].items()}
    conversations = {}
    if speaker.chat_template:
        conversations = {name: converse(speaker, turns, merged) for name, turns in corpus["conversations"].items()}
    tokenizer.encode_special_tokens = True
    controls = [read(tokenizer, text) for text in corpus["controls"]]
    return {"texts": texts, "controls": controls, "conversations": conversations}


def read(tokenizer: Tokenizer, text: str) -> dict:
    """The ids, and the text they give back where that is another one."""
    ids = tokenizer.encode(text).ids
    decoded = tokenizer.decode(ids)
    return {"ids": ids} | ({"decoded": decoded} if decoded != text else {})


def converse(speaker: PreTrainedTokenizerFast, turns: list[dict], merged: bool) -> dict:
    """Templates that can't read a list of parts are shown the parts joined."""
    if not reads_parts(speaker):
        turns = [turn | {"content": joined(turn["content"])} for turn in turns]
    try:
        rendered = render(speaker, merge(turns) if merged else turns)
    except TemplateError as error:
        return {"refused": str(error)}
    return {"rendered": rendered, "ids": speaker.backend_tokenizer.encode(rendered, add_special_tokens=False).ids}


def reads_parts(speaker: PreTrainedTokenizerFast) -> bool:
    try:
        return bool(render(speaker, [{"role": "user", "content": [{"type": "text", "text": "?"}]}]))
    except (TypeError, TemplateError):
        return False


def render(speaker: PreTrainedTokenizerFast, turns: list[dict]) -> str:
    return speaker.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)


def joined(content: str | list[dict]) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def merge(turns: list[dict]) -> list[dict]:
    """Where a template has no system role: the system prompt, a blank line, the first user turn."""
    if len(turns) > 1 and turns[0]["role"] == "system" and turns[1]["role"] == "user":
        opening = {"role": "user", "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
        return [opening, *turns[2:]]
    return turns


def write(path: Path, contents: dict) -> None:
    dump = lambda value: json.dumps(value, separators=(",", ":"))
    named = lambda entries: ",\n".join(f"{dump(name)}:{dump(value)}" for name, value in entries.items())
    controls = ",\n".join(map(dump, contents["controls"]))
    path.write_text(f'{{"texts":{{\n{named(contents["texts"])}}},\n"controls":[\n{controls}],\n'
                    f'"conversations":{{\n{named(contents["conversations"])}}}}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
