"""What a router answers with: `choose(request, experts)` in policy.py."""

from typing import Iterable, Mapping, Optional

from wit_world.exports import route

from ._told import answered, needed, told

Decision = route.Decision

_MODES = {"parallel": route.ConsensusMode_Parallel, "turns": route.ConsensusMode_Turns}


def _decision(plan, reason: str, confidence: float, tags: Optional[Mapping]) -> Decision:
    labels = [(key, str(value)) for key, value in (tags or {}).items()]
    return Decision(plan, reason, confidence, labels)


def to(expert: str, *, reason: str = "", confidence: float = 1.0, tags: Optional[Mapping] = None) -> Decision:
    """This expert answers."""
    return _decision(route.Plan_Expert(expert), reason, confidence, tags)


def first_of(
    experts: Iterable[str], *, reason: str = "", confidence: float = 1.0, tags: Optional[Mapping] = None
) -> Decision:
    """The first of these that can answer does."""
    return _decision(route.Plan_Fallback(list(experts)), reason, confidence, tags)


def consensus(
    members: Iterable[str],
    *,
    judge: Optional[str] = None,
    mode: str = "parallel",
    reason: str = "",
    confidence: float = 1.0,
    tags: Optional[Mapping] = None,
) -> Decision:
    """Several experts answer, and the judge (the first, where none is named) merges what they say."""
    plan = route.Plan_Consensus(route.Consensus(list(members), judge, _MODES[mode]()))
    return _decision(plan, reason, confidence, tags)


def exported(policy):
    """The export of the contract that calls `policy`; for the entry that `signalbox policy build` writes."""
    choose = needed(policy, "choose", "route")
    wanted = "to(...), first_of(...) or consensus(...)"

    class Route:
        def choose(self, request, experts):
            return told(lambda: answered("choose", choose(request, experts), Decision, wanted))

    return Route
