"""What a policy answers with. Import it in policy.py."""

from typing import Optional

from componentize_py_types import Err

from ._contract import interface

types = interface(None, "Refusal", "signalbox_policy_types", "types")

#: One turn of a conversation: `role` and `content`.
Message = types.Message
Refusal = Err


def forbidden(message: str) -> Err:
    """The call is not allowed: raise it. The client reads the message."""
    return Err(types.Refusal(types.RefusalKind_Forbidden(), message))


def too_large(message: str) -> Err:
    """The call is too large: raise it."""
    return Err(types.Refusal(types.RefusalKind_TooLarge(), message))


def rate_limited(retry_ms: int, message: str) -> Err:
    """Too many calls: raise it."""
    return Err(types.Refusal(types.RefusalKind_RateLimited(retry_ms), message))


def refusal(code: str, message: str) -> Err:
    """Something else, under a short stable code in snake case: raise it."""
    return Err(types.Refusal(types.RefusalKind_Other(code), message))


def hint(request, key: str) -> Optional[str]:
    """What the host or an earlier policy left under this key."""
    return next((value for known, value in request.hints() if known == key), None)


def image_count(request) -> int:
    """How many images the call has."""
    return int(hint(request, "has-images") or 0)


def is_failed(expert) -> bool:
    """Whether the expert can't be loaded."""
    return isinstance(expert.state(), types.ExpertState_Failed)
