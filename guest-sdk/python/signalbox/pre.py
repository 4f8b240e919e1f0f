"""What a policy before routing answers with: `handle(request, edits)` in policy.py."""

from wit_world.exports import pre

from . import Message
from ._told import answered, needed, told

__all__ = ["Message", "answer", "proceed"]

#: Go on, with the edits that were made.
proceed = pre.Outcome_Proceed()

_OUTCOMES = (pre.Outcome_Proceed, pre.Outcome_Answer)


def answer(text: str):
    """Answer with this text; no expert is asked."""
    return pre.Outcome_Answer(text)


def exported(policy):
    """The export of the contract that calls `policy`; for the entry that `signalbox policy build` writes."""
    handle = needed(policy, "handle", "pre")
    wanted = "proceed, answer(...) or nothing"

    def handled(request, edits):
        said = handle(request, edits)
        return answered("handle", proceed if said is None else said, _OUTCOMES, wanted)

    class Pre:
        def handle(self, request, edits):
            return told(handled, request, edits)

    return Pre
