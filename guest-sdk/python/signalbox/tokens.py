"""Counting tokens as an expert counts them. Needs "tokens" under "uses" in policy.json."""

from typing import Optional

from wit_world.imports import tokens


def count_tokens(text: str, expert: Optional[str] = None) -> int:
    """Tokens of `text` for `expert`; without one, for the expert of the highest priority."""
    return tokens.count(text, expert)
