"""The menu, for hooks that are not given it. Needs "experts" under "uses" in policy.json."""

from ._contract import interface

__all__ = ["menu"]

#: Every expert, as it is now.
menu = interface("experts", "menu", "experts").menu
