"""The menu, for hooks that are not given it. Needs "experts" under "uses" in policy.json."""

from wit_world.imports.experts import menu

__all__ = ["menu"]
