"""Runs author's code. What it raises by mistake is said on stderr: a trap alone has no words."""

import sys
import traceback

from componentize_py_types import Err


def told(work, *arguments):
    try:
        return work(*arguments)
    except Err:
        raise
    except BaseException:
        traceback.print_exc(file=sys.stderr)
        sys.stderr.flush()
        raise


def needed(policy, name: str, hook: str):
    found = getattr(policy, name, None)
    if not callable(found):
        raise AttributeError(f"policy.py has no '{name}', which the hook '{hook}' calls")
    return found


def answered(name: str, said, shapes, wanted: str):
    if not isinstance(said, shapes):
        raise TypeError(f"{name} has to return {wanted}, and returned {said!r}")
    return said
