"""What the scripts of all clients share: the address of the host, a picture, a tool, and how an outcome is told.

A script is a table of checks, one function per feature, that use a client's library the way its documentation
says. Each prints one line of JSON; `run.py` makes a table of them.
"""

import json
import os
import sys
import traceback

HOST = os.environ["SIGNALBOX_CLIENTS_HOST"]
V1 = HOST + "/v1"
# Toy experts of the demo: one that talks, one that sees, one whose vocabulary has marks for gaps.
GENERAL, SEEING, CODER = "phi4_fast", "gemma3_multimodal", "qwen_coder"
# A red circle, in Base64.
PICTURE = os.environ["SIGNALBOX_CLIENTS_PICTURE"]
HELLO = "Hello! I am fine, thank you. How can I help you today?"
WEATHER = {
    "type": "object",
    "properties": {"city": {"enum": ["Bilbao", "Vigo"]}},
    "required": ["city"],
    "additionalProperties": False,
}


class Refused(Exception):
    """The host says by name why it does not do this."""


def same(found, expected):
    """Holds one value to another."""
    if found != expected:
        raise AssertionError(f"{found!r} is not {expected!r}")


def holds(condition, what):
    """Holds something to be so."""
    if not condition:
        raise AssertionError(what)


def weather(city):
    """Holds a call's arguments to the schema."""
    holds(city in ("Bilbao", "Vigo"), f"the city is {city!r}")


def run(checks):
    """Tells the outcome of every check."""
    failed = False
    for feature, check in checks.items():
        try:
            check()
            outcome, detail = "works", ""
        except Refused as refused:
            outcome, detail = "refused", str(refused)
        except Exception as error:  # whatever a library raises is an outcome
            failed = True
            outcome, detail = "fails", f"{type(error).__name__}: {error}"
            traceback.print_exc(file=sys.stderr)
        print(json.dumps({"feature": feature, "outcome": outcome, "detail": detail[:400]}), flush=True)
    sys.exit(1 if failed else 0)
