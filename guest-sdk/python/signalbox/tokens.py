"""Counting tokens as an expert counts them. Needs "tokens" under "uses" in policy.json."""

from typing import Optional

from ._contract import HostError, asked, interface

_tokens = interface("tokens", "count", "tokens")


class Error(HostError):
    """Why tokens could not be counted."""


class UnknownExpert(Error):
    """No expert has this id."""

    def __init__(self, expert: str):
        super().__init__(f"no expert is called '{expert}'")


class Unavailable(Error):
    """The expert's tokenizer can't be read."""


class Other(Error):
    """A case newer than this SDK."""


def count_tokens(text: str, expert: Optional[str] = None) -> int:
    """Tokens of `text` for `expert`; without one, for the expert of the highest priority. Raises `Error`."""
    return asked(Error, _tokens.count, text, expert)
