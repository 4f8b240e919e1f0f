"""Vectors of texts, made by an expert of the host's: what is near in meaning has vectors of a large cosine.

Needs "embeddings" under "uses" in policy.json. A policy that is probed has nobody to ask: go on without."""

from typing import Iterable, List, Optional, Sequence

from ._contract import HostError, asked, interface

_embeddings = interface("embeddings", "embed", "embeddings")

_OWNERS = {"caller": _embeddings.Owner_Caller, "policy": _embeddings.Owner_Policy}


class Error(HostError):
    """Why there are no vectors."""


class UnknownExpert(Error):
    """No expert that the caller may ask has this id."""

    def __init__(self, expert: str):
        super().__init__(f"no expert is called '{expert}'")


class NoEmbeddingExpert(Error):
    """The expert makes no vectors, or none does."""


class TooLarge(Error):
    """More than the operator lets a policy have embedded."""


class OutOfBudget(Error):
    """The caller has spent what it may, or the time for experts is up."""


class Unavailable(Error):
    """The expert can't be asked now: it can't be loaded, its queue is full, or this is a probe."""


class Other(Error):
    """A case newer than this SDK."""


def embed(texts: Iterable[str], *, words_of: str = "caller", expert: Optional[str] = None) -> List[List[float]]:
    """A vector of the length 1 for each text, in their order. Raises `Error`.

    `words_of` is "policy" for words that are the policy's own or the operator's: their vectors are kept for all callers,
    others for each caller apart, because how soon a vector is there tells whether it was made before. Without `expert`
    the one of highest priority that makes vectors makes them. Models that want words before a text (`query: `) get
    them by the policy writing them."""
    return asked(Error, _embeddings.embed, list(texts), _OWNERS[words_of](), expert)


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    """The cosine of two vectors of the length 1: 1 for the same, about 0 for what has nothing in common."""
    return sum(x * y for x, y in zip(a, b))
