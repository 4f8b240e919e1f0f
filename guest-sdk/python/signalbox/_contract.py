"""Finds what the world of a policy imports, and gives its errors names of Python.

An interface goes by its short name where no other of the world has that one, and by its whole name otherwise; which
others there are depends on what the policy uses."""

from importlib import import_module
from typing import Optional

from componentize_py_types import Err


def interface(use: Optional[str], has: str, *names: str):
    """The first of these interfaces that is there and has an item of this name."""
    for name in names:
        try:
            found = import_module(f"wit_world.imports.{name}")
        except ModuleNotFoundError:
            continue
        if hasattr(found, has):
            return found
    raise ImportError(f'the policy uses what its world has not; add "{use}" to "uses" in policy.json')


class HostError(Exception):
    """What the host answers with instead of what was asked of it. One that nobody catches fails the hook."""


def asked(errors: type, work, *arguments):
    """Runs an import. A case of the contract is raised as the subclass of `errors` that has its name."""
    try:
        return work(*arguments)
    except Err as error:
        value = error.value
    case = type(value).__name__.rpartition("_")[2]
    kinds = {kind.__name__: kind for kind in errors.__subclasses__()}
    raise kinds.get(case, kinds["Other"])(*vars(value).values())
