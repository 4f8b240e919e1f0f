"""Train the five toy experts and write them as ordinary Hugging Face folders.

Why they exist: tests and the demo need five real models, one per architecture, that load in
milliseconds, fit in the repository and answer a few hundred questions correctly.  Each is trained
from scratch on its domain's lessons, four are stored as AWQ, and what transformers answers from the
stored files is recorded beside them, so that the engine has something exact to agree with.

    python tests/models/train.py [--only EXPERT]... [--out DIR] [--epochs N]
    python tests/models/train.py --check          # reload the folders, compare with recorded.json

The story of one toy: tokenizer -> training -> folder -> record -> check.
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

import awq
import folder as files
import toys
from lessons import SYSTEM_PROMPTS, Course, conversation, examination
from toys import TOYS, Toy

SEED = 1955
BATCH_TOKENS = 1024
QUANTISED_SHARE = 0.5  # of the epochs, at the end, run with 4-bit weights
ELSEWHERE_SHARE = 0.25  # of an epoch: prompts of other domains, answered with the fallback
MARGIN = 0.5  # logits between the best and the second token, at every step of every answer


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    sound = True
    for toy in TOYS:
        if options.only and toy.expert_id not in options.only:
            continue
        destination = options.out / toy.expert_id
        if not options.check:
            build(toy, destination, options.epochs or toy.epochs)
        sound &= check(toy, destination)
    sys.exit(0 if sound else 1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", action="append", metavar="EXPERT", help="this expert (may repeat)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="DIR")
    parser.add_argument("--epochs", type=int, help="train for so long instead of the toy's own number")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--check", action="store_true", help="train nothing, verify the folders")
    return parser.parse_args()


def build(toy: Toy, destination: Path, epochs: int) -> None:
    """Everything that makes one folder, in order."""
    torch.manual_seed(SEED)
    course = Course.read(toy.domain)
    tokenizer = toy.tokenizer(corpus(toy, course), toy.tokens)
    published = toy.config(tokenizer, toy.rows(tokenizer))
    files.write_tokenizer(toy, tokenizer, published, destination)
    model = new_model(published)
    began = time.monotonic()
    train(model, toy, course, files.read_tokenizer(destination), epochs)
    print(f"{toy.expert_id}: trained in {time.monotonic() - began:.0f} s", flush=True)
    files.write_weights(toy, model, published, destination)
    record(toy, course, destination)


def corpus(toy: Toy, course: Course) -> list[str]:
    """Text the tokenizer learns from: prompts as typed and in lower case, answers, template words."""
    prompts = [l.prompt for l in course.lessons]
    answers = sorted({l.answer for l in course.lessons})
    plumbing = ["[INST] [/INST]", "user\nmodel\nassistant\nsystem\n",
                "You are Qwen, created by Alibaba Cloud.", *SYSTEM_PROMPTS]
    return [*prompts, *(p.lower() for p in prompts), *answers, *plumbing * 2]


def new_model(published: dict) -> nn.Module:
    config = toys.model_config(published)
    family = AutoModelForImageTextToText if published["model_type"] == "gemma3" else AutoModelForCausalLM
    return family.from_config(config, dtype=torch.float32, attn_implementation="sdpa").eval()


def decoder_linears(model: nn.Module) -> dict[str, nn.Linear]:
    """The linears that AWQ replaces: those inside the text decoder's layers."""
    return {
        name: module for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and ".layers." in name and "vision" not in name
    }


# --- training ---------------------------------------------------------------------------------


def train(model: nn.Module, toy: Toy, course: Course, tokenizer, epochs: int) -> None:
    """AdamW, a rate that warms up and falls; the last part of a quantised toy's epochs sees its weights in 4 bits.
    The model stays in eval mode throughout: there is no dropout to switch on."""
    dice = random.Random(SEED)
    elsewhere = foreign_prompts(toy)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.01, betas=(0.9, 0.98), fused=True)
    rate = lambda epoch: min(1.0, (epoch + 1) / 6) * (0.03 + 0.97 * (1 - epoch / epochs))
    for epoch in range(epochs):
        if toy.quantised and epoch == int(epochs * (1 - QUANTISED_SHARE)):
            for linear in decoder_linears(model).values():
                parametrize.register_parametrization(linear, "weight", awq.FakeQuant())
        for group in optimiser.param_groups:
            group["lr"] = toy.learning_rate * rate(epoch)
        losses = [step(model, optimiser, batch) for batch in batches(toy, course, elsewhere, tokenizer, dice)]
        if epoch % 10 == 9:
            print(f"{toy.expert_id}: epoch {epoch + 1}/{epochs}, loss {sum(losses) / len(losses):.4f}", flush=True)
    for linear in decoder_linears(model).values():
        if parametrize.is_parametrized(linear):
            parametrize.remove_parametrizations(linear, "weight", leave_parametrized=False)


def foreign_prompts(toy: Toy) -> list[str]:
    """Other experts' prompts, short ones, that are not this toy's own: it says it does not know."""
    own = {l.prompt for l in Course.read(toy.domain).lessons}
    others = [Course.read(t.domain) for t in TOYS if t.domain != toy.domain]
    return [l.prompt for course in others for l in course.lessons if len(l.prompt) < 90 and l.prompt not in own]


def batches(toy: Toy, course: Course, elsewhere: list[str], tokenizer, dice: random.Random):
    """One epoch: every lesson once, in a fresh wording, cut into batches of like length."""
    asked = list(course.lessons)
    asked += [course.unknown(p) for p in dice.sample(elsewhere, int(len(asked) * ELSEWHERE_SHARE))]
    samples = []
    for lesson in asked:
        messages = conversation(lesson, course, dice, toy.system_role)
        samples.append(files.encode(toy, tokenizer, messages, lesson.answer))
    samples.sort(key=lambda s: len(s[0]) + len(s[1]) + dice.random() * 8)
    groups: list[list] = [[]]
    for sample in samples:
        width = len(sample[0]) + len(sample[1])
        if width * (len(groups[-1]) + 1) > BATCH_TOKENS:
            groups.append([])
        groups[-1].append(sample)
    dice.shuffle(groups)
    return map(collate, groups)


def collate(samples: list[tuple[list[int], list[int]]]) -> tuple[Tensor, Tensor]:
    """(prompt, answer) pairs -> ids and labels, both (batch, longest).  Padding stands to the right,
    where a causal model never looks, so no mask is needed; only answers are graded."""
    longest = max(len(p) + len(a) for p, a in samples)
    ids = torch.zeros(len(samples), longest, dtype=torch.long)
    labels = torch.full_like(ids, -100)
    for row, (prompt, answer) in enumerate(samples):
        ids[row, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : len(prompt) + len(answer)] = torch.tensor(answer)
    return ids, labels


def step(model: nn.Module, optimiser: torch.optim.Optimizer, batch: tuple[Tensor, Tensor]) -> float:
    ids, labels = batch
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return loss.item()


# --- what the stored files answer --------------------------------------------------------------


def record(toy: Toy, course: Course, destination: Path) -> None:
    """Ask the folder, read back from disk, everything in the examination; write `recorded.json`."""
    model, tokenizer = load(destination), files.read_tokenizer(destination)
    entries, wrong = [], []
    for messages, expected in examination(course, toy.system_role):
        entry = answer(toy, model, tokenizer, messages)
        if entry["answer"] != expected or entry["min_margin"] < MARGIN:
            wrong.append((entry["prompt"], entry["answer"], entry["min_margin"]))
        entries.append(entry)
    for prompt, given, margin in wrong:
        print(f"{toy.expert_id}: NOT LEARNT ({margin}): {prompt!r} -> {given[:100]!r}", flush=True)
    header = {"expert_id": toy.expert_id, "domain": toy.domain, "transformers": transformers.__version__,
              "learnt": len(entries) - len(wrong), "of": len(entries)}
    files.write_recorded(destination, header, entries)


def load(destination: Path) -> nn.Module:
    """A fresh f32 model from the stored folder, 4-bit weights dequantised."""
    published = json.loads((destination / "config.json").read_text())
    model = new_model(published)
    missing, unexpected = model.load_state_dict(files.read_weights(destination), strict=False)
    assert not unexpected, unexpected
    assert set(missing) <= {"lm_head.weight"}, missing
    model.tie_weights()
    return model


@torch.no_grad()
def answer(toy: Toy, model: nn.Module, tokenizer, messages: list[dict]) -> dict:
    """One greedy answer through generate and its KV cache, with the narrowest margin on the way."""
    rendered = files.render(tokenizer, messages)
    prompt_ids = tokenizer.encode(rendered, add_special_tokens=False)
    stops = [tokenizer.convert_tokens_to_ids(t) for t in toy.stops]
    out = model.generate(
        torch.tensor([prompt_ids]), attention_mask=torch.ones(1, len(prompt_ids), dtype=torch.long),
        max_new_tokens=256, do_sample=False, eos_token_id=stops, pad_token_id=stops[-1],
        output_logits=True, return_dict_in_generate=True)
    answer_ids = out.sequences[0, len(prompt_ids):].tolist()
    margins = [float(best[0] - best[1]) for best in (l[0].topk(2).values for l in out.logits)]
    entry = {"prompt": messages[-1]["content"]}
    if len(messages) > 1:
        entry["messages"] = messages
    return entry | {
        "rendered": rendered, "prompt_ids": prompt_ids,
        "answer": tokenizer.decode(answer_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False),
        "answer_ids": answer_ids, "min_margin": round(min(margins), 4),
    }


@torch.no_grad()
def check(toy: Toy, destination: Path) -> bool:
    """Reload the folder and hold `recorded.json` against it by another road: one forward pass over
    prompt and answer, no cache.  True when everything was learnt and everything is reproduced."""
    recorded = json.loads((destination / "recorded.json").read_text(encoding="utf-8"))
    model, tokenizer = load(destination), files.read_tokenizer(destination)
    right, margins = 0, []
    for entry in recorded["entries"]:
        prompt, given = entry["prompt_ids"], entry["answer_ids"]
        assert tokenizer.encode(entry["rendered"], add_special_tokens=False) == prompt
        logits = model(torch.tensor([prompt + given]), use_cache=False).logits[0, len(prompt) - 1 : -1]
        best = logits.topk(2).values
        margins.append(float((best[:, 0] - best[:, 1]).min()))
        right += logits.argmax(-1).tolist() == given
    total = len(recorded["entries"])
    size = sum(f.stat().st_size for f in destination.iterdir())
    print(f"{toy.expert_id}: learnt {recorded['learnt']}/{recorded['of']}, reproduced {right}/{total}, "
          f"narrowest margin {min(margins):.2f}, {size / 2**20:.2f} MiB", flush=True)
    return right == total == recorded["learnt"]


if __name__ == "__main__":
    main()
