"""Asking an expert, on behalf of the call's caller: only whom the caller may ask, and at the cost of its tokens.

Needs "inference" under "uses" in policy.json. A policy that is probed has nobody to ask: go on without."""

from typing import Iterable, Optional, Union

from . import Message
from ._contract import HostError, asked, interface

_inference = interface("inference", "ask", "inference")

#: `text`, who said it (`expert`), why it ended (`finish`), `prompt_tokens` and `completion_tokens`.
Answer = _inference.Answer


class Error(HostError):
    """Why an expert did not answer, or decide."""


class UnknownExpert(Error):
    """No expert that the caller may ask has this id."""

    def __init__(self, expert: str):
        super().__init__(f"no expert is called '{expert}'")


class Invalid(Error):
    """The question is none that this expert can be asked."""


class OutOfTime(Error):
    """The answer was not whole within its time."""


class OutOfBudget(Error):
    """The policy or the caller has spent what it may."""


class Unavailable(Error):
    """The expert can't be asked now: it can't be loaded, its queue is full, or this is a probe."""


class Other(Error):
    """A case newer than this SDK."""


def ask(
    question: Union[str, Iterable[Message]],
    *,
    max_tokens: int = 256,
    temperature: Optional[float] = 0.0,
    within_ms: int = 5000,
    expert: Optional[str] = None,
) -> Answer:
    """Asks, and waits for the whole answer. Raises `Error`.

    A text is one message of a user's, messages are a conversation, oldest first. A `temperature` of 0 is greedy, of
    None the expert's own. Without `expert` the one answers that would if there were no router."""
    messages = [Message("user", question)] if isinstance(question, str) else list(question)
    asking = _inference.Question(messages, max_tokens, temperature, within_ms, expert)
    return asked(Error, _inference.ask, asking)
