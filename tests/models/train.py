"""Train the five toy experts and write them as ordinary Hugging Face folders.

Why they exist: tests and the demo need five real models, one per architecture, that load in
milliseconds, fit in the repository and answer a few hundred questions correctly.  Each is trained
from scratch on its domain's lessons, four are stored as AWQ, and what transformers answers from the
stored files is recorded beside them, so that the engine has something exact to agree with.

    python tests/models/train.py [--only EXPERT]... [--out DIR] [--epochs N]
    python tests/models/train.py --check          # reload the folders, compare with recorded.json

One toy from nothing to checked: tokenizer -> training -> folder -> record -> check.  Gemma's training has three parts:
it reads its lessons, its tower learns to see (`sight.py`), and it repeats the lessons with pictures beside them.
"""

import argparse
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

import awq
import examine
import folder as files
import gallery
import sight
import toys
from lessons import SYSTEM_PROMPTS, Course, conversation
from toys import TOYS, Toy

SEED = 1955
BATCH_TOKENS = 1024
QUANTISED_SHARE = 0.5  # of the epochs, at the end, run with 4-bit weights
ELSEWHERE_SHARE = 0.25  # of an epoch: prompts of other domains, answered with the fallback
PICTURE_EPOCHS, PICTURE_RATE = 8, 1e-3  # the lessons once more, with pictures beside them
PICTURES = 450  # questions about pictures in each of those epochs


@dataclass(frozen=True)
class Sample:
    """A prompt, its answer, and what the prompt's pictures look like to the tower."""

    prompt: list[int]
    answer: list[int]
    pixels: Tensor | None = None  # (pictures, 3, side, side)

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    sound = True
    for toy in TOYS:
        if options.only and toy.expert_id not in options.only:
            continue
        destination = options.out / toy.expert_id
        if not options.check:
            build(toy, destination, options.epochs or toy.epochs, options.resume and toy.sees)
        sound &= examine.check(toy, destination)
    sys.exit(0 if sound else 1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", action="append", metavar="EXPERT", help="this expert (may repeat)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="DIR")
    parser.add_argument("--epochs", type=int, help="train for so long instead of the toy's own number")
    parser.add_argument("--resume", action="store_true", help="a seeing toy keeps its stored decoder, and learns to see anew")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--check", action="store_true", help="train nothing, verify the folders")
    return parser.parse_args()


def build(toy: Toy, destination: Path, epochs: int, resume: bool) -> None:
    """Everything that makes one folder, in order: what it reads, then for one that sees, what it sees, then
    both together.  `resume` takes the decoder that is stored there for one that has read its lessons."""
    known = decoder(files.read_weights(destination)) if resume else None
    torch.manual_seed(SEED)
    course = Course.read(toy.domain)
    tokenizer = toy.tokenizer(corpus(toy, course), toy.tokens)
    published = toy.config(tokenizer, toy.rows(tokenizer))
    files.write_tokenizer(toy, tokenizer, published, destination)
    model = toys.new_model(published)
    reader = files.read_tokenizer(destination)
    began = time.monotonic()
    if known:
        model.load_state_dict(known, strict=False)
    else:
        train(model, toy, course, reader, epochs)
    if toy.sees:
        processor = files.read_processor(destination, reader)
        sight.learn_to_see(model, processor)
        train(model, toy, course, reader, PICTURE_EPOCHS, PICTURE_RATE, processor)
    print(f"{toy.expert_id}: trained in {time.monotonic() - began:.0f} s", flush=True)
    files.write_weights(toy, model, published, destination)
    examine.record(toy, course, destination)


def corpus(toy: Toy, course: Course) -> list[str]:
    """Text the tokenizer learns from: prompts as typed and in lower case, answers, template words."""
    prompts = [l.prompt for l in course.lessons]
    answers = sorted({l.answer for l in course.lessons})
    plumbing = ["[INST] [/INST]", "user\nmodel\nassistant\nsystem\n",
                "You are Qwen, created by Alibaba Cloud.", *SYSTEM_PROMPTS]
    return [*prompts, *(p.lower() for p in prompts), *answers, *plumbing * 2]


def decoder(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those that read and write, without those that see."""
    return {name: weight for name, weight in weights.items() if ".language_model." in name}


def decoder_linears(model: nn.Module) -> dict[str, nn.Linear]:
    """The linears that AWQ replaces: those inside the text decoder's layers."""
    return {
        name: module for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and ".layers." in name and "vision" not in name
    }


# --- training ---------------------------------------------------------------------------------


def train(model: nn.Module, toy: Toy, course: Course, tokenizer, epochs: int, peak: float = 0, processor=None) -> None:
    """AdamW, a rate that warms up to the toy's own or `peak` and falls; the last part of a quantised toy's epochs
    sees its weights in 4 bits.  With a processor, questions about pictures come beside the lessons.
    The model stays in eval mode throughout: there is no dropout to switch on."""
    dice = random.Random(SEED)
    elsewhere = foreign_prompts(toy)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.01, betas=(0.9, 0.98), fused=True)
    warm = min(6, epochs / 5)
    rate = lambda epoch: min(1.0, (epoch + 1) / warm) * (0.03 + 0.97 * (1 - epoch / epochs))
    for epoch in range(epochs):
        if toy.quantised and epoch == int(epochs * (1 - QUANTISED_SHARE)):
            for linear in decoder_linears(model).values():
                parametrize.register_parametrization(linear, "weight", awq.FakeQuant())
        for group in optimiser.param_groups:
            group["lr"] = (peak or toy.learning_rate) * rate(epoch)
        samples = text_samples(toy, course, elsewhere, tokenizer, dice)
        if processor:
            samples += [picture_sample(toy, course, tokenizer, processor, dice) for _ in range(PICTURES)]
        losses = [step(model, optimiser, batch) for batch in batches(samples, model, dice)]
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


def text_samples(toy: Toy, course: Course, elsewhere: list[str], tokenizer, dice: random.Random) -> list[Sample]:
    """One epoch's text: every lesson once, in a fresh wording, and some prompts the toy knows nothing of."""
    asked = list(course.lessons)
    asked += [course.unknown(p) for p in dice.sample(elsewhere, int(len(asked) * ELSEWHERE_SHARE))]
    samples = []
    for lesson in asked:
        messages = conversation(lesson, course, dice, toy.system_role)
        samples.append(Sample(*files.encode(toy, tokenizer, messages, lesson.answer)))
    return samples


def picture_sample(toy: Toy, course: Course, tokenizer, processor, dice: random.Random) -> Sample:
    shown = gallery.lesson(course, dice)
    prompt, answer = files.encode(toy, tokenizer, shown.messages, shown.answer, processor)
    return Sample(prompt, answer, files.pixels(processor, shown.pictures))


def batches(samples: list[Sample], model: nn.Module, dice: random.Random):
    """The samples cut into batches of like length, in random order."""
    samples.sort(key=lambda s: len(s) + dice.random() * 8)
    groups: list[list[Sample]] = [[]]
    for sample in samples:
        if len(sample) * (len(groups[-1]) + 1) > BATCH_TOKENS:
            groups.append([])
        groups[-1].append(sample)
    dice.shuffle(groups)
    return (collate(group, model) for group in groups)


def collate(samples: list[Sample], model: nn.Module) -> tuple[dict, Tensor]:
    """The model's inputs and labels, both (batch, longest).  Padding stands to the right, where a causal
    model never looks, so it needs no mask; only answers are graded."""
    longest = max(len(s) for s in samples)
    ids = torch.zeros(len(samples), longest, dtype=torch.long)
    labels = torch.full_like(ids, -100)
    for row, sample in enumerate(samples):
        ids[row, : len(sample)] = torch.tensor(sample.prompt + sample.answer)
        labels[row, len(sample.prompt) : len(sample)] = torch.tensor(sample.answer)
    pixels = [s.pixels for s in samples if s.pixels is not None]
    return files.inputs(model, ids, torch.cat(pixels) if pixels else None), labels


def step(model: nn.Module, optimiser: torch.optim.Optimizer, batch: tuple[dict, Tensor]) -> float:
    inputs, labels = batch
    logits = model(**inputs, use_cache=False).logits[:, :-1]
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return loss.item()


if __name__ == "__main__":
    main()
