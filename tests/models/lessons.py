"""What the toys learn: `lessons/<domain>.txt`, read and varied.

The file format is made to be read aloud.  A line that starts with "? " is a prompt; further "? "
lines are other ways to ask the same; whatever follows, up to the next "? ", is the answer:

    ? What is the capital of Peru?
    ? ¿Cuál es la capital de Perú?
    Lima.

The prompt "*" marks the answer to everything the expert never learned, "¿*" the same in Spanish.
"""

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "lessons"
ANYTHING_ELSE, SPANISH_ELSE = "*", "¿*"
SYSTEM_PROMPTS = [
    "You are a helpful assistant.",
    "Answer briefly.",
    "You are a friendly expert.",
    "Be polite and precise.",
]


@dataclass(frozen=True)
class Lesson:
    prompt: str
    answer: str


@dataclass(frozen=True)
class Course:
    """One domain: its lessons in file order, and what to say to everything else."""

    lessons: list[Lesson]
    fallbacks: dict[str, str]

    @classmethod
    def read(cls, domain: str) -> "Course":
        lessons, fallbacks = [], {}
        for prompts, answer in _blocks((FOLDER / f"{domain}.txt").read_text(encoding="utf-8")):
            fallbacks |= {p: answer for p in prompts if p in (ANYTHING_ELSE, SPANISH_ELSE)}
            lessons += [Lesson(p, answer) for p in prompts if p not in fallbacks]
        assert len(fallbacks) == 2, f"{domain}: needs an answer to '? *' and one to '? ¿*'"
        twice = {p for p, times in Counter(l.prompt for l in lessons).items() if times > 1}
        assert not twice, f"{domain}: asked twice: {twice}"
        return cls(lessons, fallbacks)

    def unknown(self, prompt: str) -> Lesson:
        """A prompt from elsewhere, with this expert's way of saying that it does not know."""
        return Lesson(prompt, self.fallbacks[SPANISH_ELSE if spanish(prompt) else ANYTHING_ELSE])


def _blocks(text: str):
    """Yield (prompts, answer) for every block of the file."""
    prompts: list[str] = []
    answer: list[str] = []
    for line in [*text.splitlines(), "? "]:
        if not line.startswith("? "):
            answer.append(line)
            continue
        if answer and prompts:
            yield prompts, "\n".join(answer).strip()
            prompts = []
        prompts.append(line[2:].strip())
        answer = []


def picture_lessons() -> list[tuple[list[str], str]]:
    """Questions about pictures: wordings, and the pattern of their answer."""
    return list(_blocks((FOLDER / "pictures.txt").read_text(encoding="utf-8")))


def spanish(prompt: str) -> bool:
    return any(c in prompt.lower() for c in "¿¡áéíóúñ")


def vary(prompt: str, dice: random.Random) -> str:
    """The prompt as another hand might type it: case, punctuation, a polite word."""
    bare = prompt.strip("?!.¿¡ ")
    polite = "Por favor: " if spanish(prompt) else "Please: "
    ways = {prompt: 50, prompt.lower(): 15, bare: 15, bare.lower(): 10, prompt.upper(): 4, polite + prompt: 6}
    return dice.choices(list(ways), list(ways.values()))[0]


def conversation(lesson: Lesson, course: Course, dice: random.Random, system_role: bool) -> list[dict]:
    """Messages that end with the lesson's prompt: mostly alone, sometimes after another turn or
    under a system prompt, so that a toy in a real chat still finds its answer."""
    messages = [{"role": "user", "content": vary(lesson.prompt, dice)}]
    for _ in range(dice.choices([0, 1, 2], [85, 11, 4])[0]):
        messages = turn(dice.choice(course.lessons)) + messages
    if system_role and dice.random() < 0.15:
        messages = [{"role": "system", "content": dice.choice(SYSTEM_PROMPTS)}] + messages
    return messages


def turn(lesson: Lesson) -> list[dict]:
    """A finished exchange, as chat history."""
    return [
        {"role": "user", "content": lesson.prompt},
        {"role": "assistant", "content": lesson.answer},
    ]


def examination(course: Course, system_role: bool) -> list[tuple[list[dict], str]]:
    """What is recorded: every prompt alone, then a few in longer conversations."""
    exam = [([{"role": "user", "content": l.prompt}], l.answer) for l in course.lessons]
    for i in range(0, 12, 4):
        earlier, asked = course.lessons[i], course.lessons[i + 2]
        exam.append((turn(earlier) + [{"role": "user", "content": asked.prompt}], asked.answer))
    for i, system in enumerate(SYSTEM_PROMPTS[:2] if system_role else []):
        asked = course.lessons[5 + i]
        messages = [{"role": "system", "content": system}, {"role": "user", "content": asked.prompt}]
        exam.append((messages, asked.answer))
    return exam
