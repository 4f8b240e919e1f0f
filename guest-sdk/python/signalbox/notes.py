"""Labels on the call in the decision log. Needs "annotations" under "uses" in policy.json."""

from wit_world.imports import annotations


def note(key: str, value) -> None:
    """Puts a label on the call, whatever becomes of it. No client reads it."""
    annotations.annotate(key, str(value))
