"""Spreads calls evenly over the experts that can answer, whatever they are about.

Each call gets a fresh instance, so there is no counter to advance. The shortest queue is taken first, which evens out
load as it arises; among equals the call's id decides, by a hash, which evens out over many calls and answers the same
call the same way."""

from signalbox import is_failed, refusal
from signalbox.route import first_of


def choose(request, experts):
    able = sorted((expert.queue_depth(), expert.id()) for expert in experts if not is_failed(expert))
    if not able:
        raise refusal("no-expert", "no expert can answer: all of them failed")
    depth = able[0][0]
    equals = [expert for expert in able if expert[0] == depth]
    turn = fnv(request.id()) % len(equals)
    order = equals[turn:] + equals[:turn] + able[len(equals) :]
    reason = f"turn {turn + 1} of {len(equals)} with {depth} calls waiting"
    return first_of((name for _, name in order), reason=reason)


def fnv(text: str) -> int:
    """FNV-1a, folded so that the low bits depend on all of the text."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value ^ (value >> 32)
