"""The host's log, with levels; `print` needs none of this and is there as well.

Needs "logging" under "uses" in policy.json."""

from ._contract import interface

_logging = interface("logging", "Level", "logging")


def trace(message, context: str = "") -> None:
    _logging.log(_logging.Level.TRACE, context, str(message))


def debug(message, context: str = "") -> None:
    _logging.log(_logging.Level.DEBUG, context, str(message))


def info(message, context: str = "") -> None:
    _logging.log(_logging.Level.INFO, context, str(message))


def warn(message, context: str = "") -> None:
    _logging.log(_logging.Level.WARN, context, str(message))


def error(message, context: str = "") -> None:
    _logging.log(_logging.Level.ERROR, context, str(message))
