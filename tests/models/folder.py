"""A toy's Hugging Face folder: writing it as published models are written, reading it back.

Reading shares no state with writing: what `read_weights` and `read_tokenizer` see is what the engine
sees.  Tensor names in the files are the published ones; transformers 5 renamed Gemma 3's inside.
"""

import json
import re
import shutil
from pathlib import Path

import torch
from PIL.Image import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import Gemma3Processor, PreTrainedTokenizerFast
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

import awq
from toys import Toy

INDEX = "model.safetensors.index.json"
PACKED = (".qweight", ".qzeros", ".scales")
# transformers 5 module -> published tensor name, Gemma 3 only.
GEMMA_NAMES = [
    ("model.language_model.", "language_model.model."),
    ("model.vision_tower.", "vision_tower.vision_model."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
]
LINEAR = re.compile(r"\.layers\.\d+\.(self_attn|mlp)\.\w+_proj\.weight$")


# --- tokenizer and conversation ----------------------------------------------------------------


def write_tokenizer(toy: Toy, tokenizer: Tokenizer, published: dict, folder: Path) -> None:
    """Start the folder afresh with everything but the weights."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    added = {
        str(i): {"content": t.content, "lstrip": t.lstrip, "normalized": t.normalized,
                 "rstrip": t.rstrip, "single_word": t.single_word, "special": t.special}
        for i, t in sorted(tokenizer.get_added_tokens_decoder().items())
    }
    config = {"added_tokens_decoder": added, **toy.special, "clean_up_tokenization_spaces": False,
              "model_max_length": published.get("text_config", published)["max_position_embeddings"],
              "tokenizer_class": toy.tokenizer_class}
    if toy.expert_id == "mistral_balanced":
        config |= {"add_bos_token": True, "add_eos_token": False, "legacy": False}
    if toy.template_file:
        (folder / "chat_template.jinja").write_text(toy.template, encoding="utf-8")
    else:
        config["chat_template"] = toy.template
    write_json(folder / "tokenizer_config.json", config)
    write_json(folder / "special_tokens_map.json", {
        role: {"content": token, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
        for role, token in toy.special.items()})
    write_json(folder / "config.json", published)
    stops = [tokenizer.token_to_id(t) for t in toy.stops]
    generation = {"do_sample": False, "eos_token_id": stops if len(stops) > 1 else stops[0]}
    for role in ("bos_token", "pad_token"):
        if role in toy.special:
            generation[f"{role}_id"] = tokenizer.token_to_id(toy.special[role])
    write_json(folder / "generation_config.json", generation)
    for name, contents in toy.extras.items():
        write_json(folder / name, contents)


def read_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """`tokenizer.json` as it stands, whatever class the configuration names."""
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    template = folder / "chat_template.jinja"
    special = {k: v for k, v in config.items() if k.endswith("_token") and isinstance(v, str)}
    return PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), clean_up_tokenization_spaces=False,
        chat_template=template.read_text(encoding="utf-8") if template.exists() else config["chat_template"],
        **special)


def read_processor(folder: Path, tokenizer: PreTrainedTokenizerFast) -> Gemma3Processor:
    """The reference for pictures: transformers' PIL image processor, inside the processor that turns
    `do_convert_rgb: null` into true and expands image tokens."""
    settings = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))
    return Gemma3Processor(Gemma3ImageProcessorPil.from_pretrained(folder), tokenizer,
                           chat_template=tokenizer.chat_template, image_seq_length=settings["image_seq_length"])


def render(tokenizer: PreTrainedTokenizerFast, messages: list[dict]) -> str:
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def expand(rendered: str, processor: Gemma3Processor | None) -> str:
    """Every image's placeholder as the tokens its features will stand in for."""
    return rendered.replace(processor.boi_token, processor.full_image_sequence) if processor else rendered


def encode(toy: Toy, tokenizer, messages: list[dict], answer: str, processor=None) -> tuple[list[int], list[int]]:
    """Prompt ids and answer ids, the latter ending with the token that ends a turn."""
    rendered = expand(render(tokenizer, messages), processor)
    prompt = tokenizer.encode(rendered, add_special_tokens=False)
    whole = tokenizer.encode(rendered + toy.answer_prefix + answer + toy.stops[0], add_special_tokens=False)
    assert whole[: len(prompt)] == prompt, f"a token spans prompt and answer: {rendered!r} {answer!r}"
    return prompt, whole[len(prompt):]


def pixels(processor: Gemma3Processor, pictures: list[Image]) -> Tensor | None:
    """(pictures, 3, side, side) in -1..1, or None for no picture."""
    if not pictures:
        return None
    prepared = processor.image_processor(pictures, do_convert_rgb=True, return_tensors="pt")
    return prepared["pixel_values"].float()


def inputs(model: nn.Module, ids: Tensor, pixel_values: Tensor | None) -> dict[str, Tensor]:
    """What `forward` and `generate` take.  The token types are what opens the mask inside an image."""
    if pixel_values is None:
        return {"input_ids": ids}
    return {"input_ids": ids, "pixel_values": pixel_values,
            "token_type_ids": (ids == model.config.image_token_id).long()}


# --- weights -----------------------------------------------------------------------------------


def write_weights(toy: Toy, model: nn.Module, published: dict, folder: Path) -> None:
    """The trained f32 weights, stored as the toy's published kin stores them."""
    plain = torch.float16 if toy.quantised else torch.bfloat16
    tensors: dict[str, Tensor] = {}
    for name, weight in model.state_dict().items():
        weight = weight.detach()
        assert weight.isfinite().all() and weight.abs().max() < 6e4, f"{name} does not fit f16"
        if name == "lm_head.weight" and published.get("tie_word_embeddings", True):
            continue
        if toy.quantised and LINEAR.search(name):
            stem = name.removesuffix("weight")
            tensors |= {stem + part: packed for part, packed in awq.compress(weight).items()}
        else:
            tensors[public_name(name)] = weight.to(plain).contiguous()
    if toy.shards == 1:
        write_tensors(tensors, folder / "model.safetensors")
    else:
        write_shards(tensors, toy.shards, folder)


def write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    save_file(tensors, path, {"format": "pt"})
    path.chmod(0o644)  # save_file leaves 0600


def write_shards(tensors: dict[str, Tensor], shards: int, folder: Path) -> None:
    """Fill shards in turn to about equal bytes, and write the index that says what lies where."""
    total = sum(t.nbytes for t in tensors.values())
    where, written = {}, 0
    for name, tensor in tensors.items():
        shard = min(written * shards // total, shards - 1)
        where[name] = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        written += tensor.nbytes
    for file in sorted(set(where.values())):
        write_tensors({n: t for n, t in tensors.items() if where[n] == file}, folder / file)
    write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))})


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Every stored tensor in f32 under transformers' own names, AWQ undone."""
    index = folder / INDEX
    names = ["model.safetensors"]
    if index.exists():
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    stored = {k: v for name in names for k, v in load_file(folder / name).items()}
    weights = {private_name(k): v.float() for k, v in stored.items() if not k.endswith(PACKED)}
    for name in stored:
        if name.endswith(".qweight"):
            stem = name.removesuffix(".qweight")
            weights[f"{stem}.weight"] = awq.restore(*(stored[stem + part] for part in PACKED))
    return weights


def public_name(name: str) -> str:
    for inside, published in GEMMA_NAMES:
        name = name.replace(inside, published, 1) if name.startswith(inside) else name
    return name


def private_name(name: str) -> str:
    for inside, published in GEMMA_NAMES:
        name = name.replace(published, inside, 1) if name.startswith(published) else name
    return name


# --- json --------------------------------------------------------------------------------------


def write_json(path: Path, contents: dict) -> None:
    path.write_text(json.dumps(contents, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_recorded(folder: Path, header: dict, entries: list[dict]) -> None:
    """One entry a line: small, and a diff shows which answers moved."""
    head = json.dumps(header, ensure_ascii=False)[:-1]
    lines = ",\n".join(json.dumps(e, ensure_ascii=False, separators=(",", ":")) for e in entries)
    (folder / "recorded.json").write_text(f'{head}, "entries": [\n{lines}\n]}}\n', encoding="utf-8")
