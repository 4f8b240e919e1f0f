"""The host's log, with levels; `print` needs none of this and is there as well.

Needs "logging" under "uses" in policy.json."""

from wit_world.imports import logging


def trace(message, context: str = "") -> None:
    logging.log(logging.Level.TRACE, context, str(message))


def debug(message, context: str = "") -> None:
    logging.log(logging.Level.DEBUG, context, str(message))


def info(message, context: str = "") -> None:
    logging.log(logging.Level.INFO, context, str(message))


def warn(message, context: str = "") -> None:
    logging.log(logging.Level.WARN, context, str(message))


def error(message, context: str = "") -> None:
    logging.log(logging.Level.ERROR, context, str(message))
