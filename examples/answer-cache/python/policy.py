"""Answers a call that was asked before: the same caller, the same messages, the same parameters. Whole answers only. Those
of the Rust example end after a while; these make room when there is none."""

import json

from signalbox import image_count, keyvalue, log, types
from signalbox.post import emit
from signalbox.pre import answer, proceed
from signalbox.settings import setting

# Longer answers are not kept, in characters.
LONGEST = 16 << 10


def handle(request, edits):
    question = asked(request)
    found = question and kept(question)
    return proceed if found is None else answer(found)


class Session:
    def __init__(self, request, expert):
        self.question = asked(request)
        self.answer = ""

    def push(self, window):
        if len(self.answer) <= LONGEST:
            self.answer += window
        return emit

    def finish(self, window, ended):
        self.push(window)
        stopped = isinstance(ended.reason(), types.FinishReason_Stop)
        if self.question and stopped and len(self.answer) <= LONGEST:
            keep(self.question, self.answer)
        return emit


def asked(request):
    """Who asks what, and how, as a text; None where something else matters: tools, pictures, a format."""
    plain = isinstance(request.response_format(), types.ResponseFormat_Text)
    if request.tools() or image_count(request) or not plain:
        return None
    seed = request.seed()
    return written(
        [
            "" if setting("share") == "yes" else request.caller(),
            request.model(),
            [[message.role, message.content] for message in request.messages()],
            request.max_tokens(),
            request.temperature(),
            request.top_p(),
            None if seed is None else str(seed),
            request.stop(),
        ]
    )


def kept(question):
    """The answer to this question, if it was kept. Others may have the same key, so what was asked stands with the answer."""
    try:
        found = json.loads(keyvalue.open().get_text(key(question)) or "{}")
    except (keyvalue.Error, ValueError) as error:
        log.warn(f"no answer is found: {error}")
        return None
    return found.get("answer") if found.get("question") == question else None


def keep(question, said):
    value = written({"question": question, "answer": said})
    try:
        bucket = keyvalue.open()
        try:
            bucket.set(key(question), value)
        except keyvalue.Error:
            for old in bucket.keys():
                bucket.delete(old)
            bucket.set(key(question), value)
    except keyvalue.Error as error:
        log.warn(f"an answer is not kept: {error}")


def written(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def key(text):
    """FNV-1a, in hexadecimal digits."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:x}"
