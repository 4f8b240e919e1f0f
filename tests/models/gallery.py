"""Questions about pictures: `lessons/pictures.txt` put to freshly drawn pictures.

The file is read as every other lesson is; an answer's {thing}, {other}, {colour} and {shape} are filled
in from what was drawn. "{other}" makes it a question about two pictures, and the prompt "*" marks the
answer to any of the questions when no picture came with it.
"""

import random
from dataclasses import dataclass, field

from PIL.Image import Image

from lessons import ANYTHING_ELSE, SYSTEM_PROMPTS, Course, Lesson, picture_lessons, turn, vary
from pictures import COLOURS, THINGS, Thing, draw

# How often which kind is asked: what it is, its colour, its shape, both of two, none was sent.
SHARES = [50, 12, 12, 20, 6]


@dataclass(frozen=True)
class Kind:
    """One block of the file: wordings of one question, and the pattern of its answer."""

    prompts: list[str]
    pattern: str

    @property
    def pictures(self) -> int:
        return 0 if "{" not in self.pattern else 2 if "{other}" in self.pattern else 1

    def answer(self, things: list[Thing]) -> str:
        names = [f"{'an' if thing.colour[0] in 'aeiou' else 'a'} {thing.name}" for thing in things]
        text = self.pattern.format(
            thing=names[0] if names else "", other=names[-1] if names else "",
            colour=things[0].colour if things else "", shape=f"a {things[0].shape}" if things else "")
        return text[0].upper() + text[1:]


@dataclass(frozen=True)
class Showing:
    """A conversation with pictures in it, and the answer it should get."""

    messages: list[dict]
    answer: str
    pictures: list[Image] = field(default_factory=list)


def kinds() -> list[Kind]:
    blocks = [Kind(prompts, pattern) for prompts, pattern in picture_lessons()]
    asked = [prompt for kind in blocks for prompt in kind.prompts if prompt != ANYTHING_ELSE]
    return [Kind(asked, k.pattern) if k.prompts == [ANYTHING_ELSE] else k for k in blocks]


def message(prompt: str, pictures: int, before: bool = True) -> dict:
    """A user's message: the pictures before the words, or after them."""
    if not pictures:
        return {"role": "user", "content": prompt}
    seen, words = [{"type": "image"}] * pictures, [{"type": "text", "text": prompt}]
    return {"role": "user", "content": seen + words if before else words + seen}


def show(kind: Kind, dice: random.Random) -> Showing:
    """The kind's question about fresh pictures, in any of its wordings."""
    things = dice.choices(THINGS, k=kind.pictures)
    asked = message(vary(dice.choice(kind.prompts), dice), kind.pictures, dice.random() < 0.7)
    return Showing([asked], kind.answer(things), [draw(thing, dice) for thing in things])


def lesson(course: Course, dice: random.Random) -> Showing:
    """One training example: mostly a question alone, sometimes inside a longer conversation."""
    known = kinds()
    shown = show(dice.choices(known, SHARES)[0], dice)
    before = dice.random()
    if before < 0.07:
        shown = Showing(turn(dice.choice(course.lessons)) + shown.messages, shown.answer, shown.pictures)
    elif before < 0.14:
        shown = after(shown, show(dice.choices(known[:4], SHARES[:4])[0], dice))
    elif before < 0.21:
        asked: Lesson = dice.choice(course.lessons)
        shown = after(shown, Showing([message(asked.prompt, 0)], asked.answer))
    if dice.random() < 0.1:
        system = {"role": "system", "content": dice.choice(SYSTEM_PROMPTS)}
        shown = Showing([system, *shown.messages], shown.answer, shown.pictures)
    return shown


def after(first: Showing, then: Showing) -> Showing:
    """Two exchanges in one conversation."""
    answered = {"role": "assistant", "content": first.answer}
    return Showing([*first.messages, answered, *then.messages], then.answer, first.pictures + then.pictures)
