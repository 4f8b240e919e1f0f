"""Typed questions about a text, answered with probabilities by an expert that generates nothing for it.

Needs "decide" under "uses" in policy.json. What holds for `signalbox.inference` holds here, its errors as well."""

from typing import Iterable, List, Optional, Tuple, Union

from ._contract import asked, interface
from .inference import Error, Invalid, Other, OutOfBudget, OutOfTime, Unavailable, UnknownExpert

__all__ = [
    "Error",
    "Invalid",
    "Other",
    "OutOfBudget",
    "OutOfTime",
    "Unavailable",
    "UnknownExpert",
    "Weights",
    "choice",
    "decide",
    "predicate",
    "score",
]

_decide = interface("decide", "decide", "decide")

#: How likely each label is (`probabilities`), and a reply that begins with any of them (`mass`).
Weights = _decide.Weights

#: Something that an answer may be: its name, or its name and when it is the one.
Label = Union[str, Tuple[str, str]]


def _selection(instructions: str, labels: Iterable[Label]):
    pairs = ((label, None) if isinstance(label, str) else label for label in labels)
    return _decide.Selection(instructions, [_decide.Label(name, description) for name, description in pairs])


def predicate(instructions: str, *, yes: Optional[str] = None, no: Optional[str] = None):
    """Whether this holds; its labels are yes and no."""
    return _decide.Question_Predicate(_decide.Predicate(instructions, yes, no))


def choice(instructions: str, labels: Iterable[Label]):
    """Which of these it is: 1 to 255 labels."""
    return _decide.Question_Choice(_selection(instructions, labels))


def score(instructions: str, levels: Iterable[Label]):
    """How much it is, from the least to the most: 2 to 10 levels."""
    return _decide.Question_Score(_selection(instructions, levels))


def decide(text: str, questions: Iterable, *, expert: Optional[str] = None) -> List[Weights]:
    """The answer to each question, by `expert` or by the one that answers when no router chooses. Raises `Error`."""
    return asked(Error, _decide.decide, text, list(questions), expert)
