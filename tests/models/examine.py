"""What the stored folders answer: asking them, recording it, and holding the records against them again.

Nothing here has seen the training: the folder is read back from disk first, as the engine reads it.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from PIL.Image import Image
from torch import Tensor, nn

import exhibition
import folder as files
import toys
from lessons import Course, examination
from toys import Toy

MARGIN = 0.5  # logits between the best and the second token, at every step of every answer


def record(toy: Toy, course: Course, destination: Path) -> None:
    """Ask the folder everything in the examination; write `recorded.json`."""
    model, tokenizer = load(destination), files.read_tokenizer(destination)
    entries, wrong = [], []
    for messages, expected in examination(course, toy.system_role):
        entry = answer(toy, model, tokenizer, messages, expected)
        if entry["answer"] != expected or entry["min_margin"] < MARGIN:
            wrong.append((entry["prompt"], entry["answer"], entry["min_margin"]))
        entries.append(entry)
    for prompt, given, margin in wrong:
        print(f"{toy.expert_id}: NOT LEARNT ({margin}): {prompt!r} -> {given[:100]!r}", flush=True)
    header = {"expert_id": toy.expert_id, "domain": toy.domain, "transformers": transformers.__version__,
              "learnt": len(entries) - len(wrong), "of": len(entries)}
    files.write_recorded(destination, header, entries)
    if toy.sees:
        record_pictures(toy, model, tokenizer, destination)


def load(destination: Path, attention: str = "sdpa") -> nn.Module:
    """A fresh f32 model from the stored folder, 4-bit weights dequantised."""
    published = json.loads((destination / "config.json").read_text())
    model = toys.new_model(published, attention)
    missing, unexpected = model.load_state_dict(files.read_weights(destination), strict=False)
    assert not unexpected, unexpected
    assert set(missing) <= {"lm_head.weight"}, missing
    model.tie_weights()
    return model


@torch.no_grad()
def answer(toy: Toy, model: nn.Module, tokenizer, messages: list[dict], expected: str,
           processor=None, pictures: Sequence[Image] = ()) -> dict:
    """The greedy answer, with the narrowest margin on the way.  Where every token of the expected answer is the
    best after those before it, that answer is the greedy one and a single pass shows it; else it is generated."""
    rendered = files.render(tokenizer, messages)
    prompt_ids, answer_ids = files.encode(toy, tokenizer, messages, expected, processor)
    pixels = files.pixels(processor, list(pictures))
    logits = answer_logits(model, prompt_ids, answer_ids, pixels)
    if logits.argmax(-1).tolist() != answer_ids:
        answer_ids, logits = generate(toy, model, tokenizer, prompt_ids, pixels)
    entry = {"prompt": words(messages[-1])}
    if len(messages) > 1 or messages[0]["content"] != entry["prompt"]:
        entry["messages"] = messages
    return entry | {
        "rendered": rendered, "prompt_ids": prompt_ids,
        "answer": tokenizer.decode(answer_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False),
        "answer_ids": answer_ids, "min_margin": round(margin(logits), 4),
    }


def answer_logits(model: nn.Module, prompt: list[int], given: list[int], pixels: Tensor | None) -> Tensor:
    """(answer, vocabulary): the scores each token of a given answer was chosen from, in one pass without a cache."""
    inputs = files.inputs(model, torch.tensor([prompt + given]), pixels)
    return model(**inputs, use_cache=False).logits[0, len(prompt) - 1 : -1]


def generate(toy: Toy, model: nn.Module, tokenizer, prompt: list[int], pixels: Tensor | None) -> tuple[list[int], Tensor]:
    ids = torch.tensor([prompt])
    stops = [tokenizer.convert_tokens_to_ids(t) for t in toy.stops]
    out = model.generate(
        **files.inputs(model, ids, pixels), attention_mask=torch.ones_like(ids),
        max_new_tokens=256, do_sample=False, eos_token_id=stops, pad_token_id=stops[-1],
        output_logits=True, return_dict_in_generate=True)
    return out.sequences[0, len(prompt):].tolist(), torch.cat(out.logits)


def margin(logits: Tensor) -> float:
    best = logits.topk(2).values
    return float((best[:, 0] - best[:, 1]).min())


def words(message: dict) -> str:
    """A message's text, without its pictures."""
    if isinstance(message["content"], str):
        return message["content"]
    return "".join(part["text"] for part in message["content"] if part["type"] == "text")


def check(toy: Toy, destination: Path) -> bool:
    """Reload the folder and hold its records against it, by another road: eager attention.  True when everything
    was learnt and everything is reproduced."""
    recorded = json.loads((destination / "recorded.json").read_text(encoding="utf-8"))
    model, tokenizer = load(destination, "eager"), files.read_tokenizer(destination)
    right, narrowest = reproduced(model, tokenizer, recorded["entries"])
    total = len(recorded["entries"])
    size = sum(f.stat().st_size for f in destination.iterdir())
    print(f"{toy.expert_id}: learnt {recorded['learnt']}/{recorded['of']}, reproduced {right}/{total}, "
          f"narrowest margin {narrowest:.2f}, {size / 2**20:.2f} MiB", flush=True)
    sound = right == total == recorded["learnt"]
    return check_pictures(toy, model, tokenizer, destination) and sound if toy.sees else sound


@torch.no_grad()
def reproduced(model: nn.Module, tokenizer, entries: list[dict], processor=None, folder=None) -> tuple[int, float]:
    """How many answers come out again, and the narrowest margin of all."""
    right, margins = 0, []
    for entry in entries:
        prompt, given = entry["prompt_ids"], entry["answer_ids"]
        assert tokenizer.encode(files.expand(entry["rendered"], processor), add_special_tokens=False) == prompt
        pixels = files.pixels(processor, exhibition.read(folder, entry["files"])) if processor else None
        logits = answer_logits(model, prompt, given, pixels)
        margins.append(margin(logits))
        right += logits.argmax(-1).tolist() == given
    return right, min(margins)


# --- pictures ----------------------------------------------------------------------------------


def record_pictures(toy: Toy, model: nn.Module, tokenizer, destination: Path) -> None:
    """Ask about fresh held-out pictures, then about the exhibition's files; write both results, and the
    numbers behind some of the files."""
    processor = files.read_processor(destination, tokenizer)
    ask = lambda shown: answer(toy, model, tokenizer, shown.messages, shown.answer, processor, shown.pictures)
    fresh = exhibition.held_out()
    right = sum(ask(showing)["answer"] == showing.answer for showing in fresh)
    folder = exhibition.folder(destination)
    entries = [{"files": names, "expected": showing.answer} | ask(showing)
               for names, showing in exhibition.hang(folder)]
    correct = sum(entry["answer"] == entry["expected"] for entry in entries)
    files.write_recorded(folder, {
        "expert_id": toy.expert_id, "transformers": transformers.__version__,
        "right": correct, "of": len(entries), "held_out": {"right": right, "of": len(fresh)},
    }, entries)
    files.write_tensors(measured(model, processor, folder, entries), folder / exhibition.MEASURED)


@torch.no_grad()
def measured(model: nn.Module, processor, folder: Path, entries: list[dict]) -> dict[str, Tensor]:
    """For some files, what lies between picture and answer: the pixels after preprocessing (3, side, side),
    the features after the projector (tokens, hidden), and the logits after the prompt (vocabulary)."""
    tensors = {}
    for entry in (e for e in entries if e["files"][0] in exhibition.TO_MEASURE and len(e["files"]) == 1):
        name = entry["files"][0]
        pixels = files.pixels(processor, exhibition.read(folder, [name]))
        inputs = files.inputs(model, torch.tensor([entry["prompt_ids"]]), pixels)
        tensors[f"{name}.pixel_values"] = pixels[0].contiguous()
        tensors[f"{name}.features"] = model.get_image_features(pixels).pooler_output[0].contiguous()
        tensors[f"{name}.logits"] = model(**inputs, use_cache=False).logits[0, -1].contiguous()
    return tensors


def check_pictures(toy: Toy, model: nn.Module, tokenizer, destination: Path) -> bool:
    """The same for the exhibition, with the prompts as transformers' own processor expands them."""
    folder = exhibition.folder(destination)
    processor = files.read_processor(destination, tokenizer)
    recorded = json.loads((folder / "recorded.json").read_text(encoding="utf-8"))
    entries, held_out = recorded["entries"], recorded["held_out"]
    right, narrowest = reproduced(model, tokenizer, entries, processor, folder)
    for entry in entries:
        own = processor(images=exhibition.read(folder, entry["files"]), text=entry["rendered"], add_special_tokens=False)
        assert own["input_ids"][0] == entry["prompt_ids"], entry["files"]
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{toy.expert_id}: pictures: held out {held_out['right']}/{held_out['of']}, files {recorded['right']}/"
          f"{recorded['of']}, reproduced {right}/{len(entries)}, narrowest margin {narrowest:.2f}, "
          f"{size / 2**10:.0f} KiB", flush=True)
    enough = all(r["right"] >= exhibition.PASS * r["of"] for r in (recorded, held_out))
    return enough and right == len(entries)
