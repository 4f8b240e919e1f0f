"""Labels on the call in the decision log. Needs "annotations" under "uses" in policy.json."""

from ._contract import interface

_annotations = interface("annotations", "annotate", "annotations")


def note(key: str, value) -> None:
    """Puts a label on the call, whatever becomes of it. No client reads it."""
    _annotations.annotate(key, str(value))
