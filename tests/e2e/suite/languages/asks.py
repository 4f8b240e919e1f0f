"""Uses everything that the host lends, one thing per call, and answers with what came of it. asks.js says the same."""

import json

from signalbox import Message
from signalbox.decide import choice, decide, predicate
from signalbox.embeddings import cosine, embed
from signalbox.experts import menu
from signalbox.http import get, post
from signalbox.inference import ask
from signalbox.keyvalue import open
from signalbox.pre import answer, proceed
from signalbox.tokens import count_tokens


def refused(work):
    """The name of the error that this ends with, and its words."""
    try:
        return work()
    except Exception as error:
        return [type(error).__name__, str(error)]


def keeps(_):
    bucket = open()
    bucket.set("text", "kept")
    bucket.increment("sum", 2)
    bucket.update("grows", lambda old: (old or b"") + b"x")
    bucket.set("gone", b"\xff")
    taken = list(bucket.get("gone"))
    bucket.delete("gone")
    return {
        "keys": bucket.keys(),
        "text": bucket.get_text("text"),
        "sum": bucket.increment("sum"),
        "grows": bucket.get_text("grows"),
        "bytes": taken,
        "there": [bucket.exists("text"), bucket.exists("gone"), bucket.get("gone") is None],
        "refused": refused(lambda: bucket.increment("text")),
    }


def fetches(url):
    said = post(f"{url}/words", json.dumps({"asked": "ñ" * 3000}, ensure_ascii=False, separators=(",", ":")), headers={"x-asks": "me"})
    return {
        "said": [said.status, said.header("X-Answers"), said.json()],
        "got": get(f"{url}?q").text(),
        "long": refused(lambda: get(f"{url}/words", bytes_max=3)),
        "elsewhere": refused(lambda: get("http://127.0.0.1:1/")),
        "nonsense": refused(lambda: get("example.com")),
    }


def embeds(_):
    a, b = embed(["the line", "the line"], words_of="policy")
    return {
        "same": abs(cosine(a, b) - 1) < 1e-4,
        "length": len(a),
        "unknown": refused(lambda: embed(["x"], expert="nobody")),
        "wrong": refused(lambda: embed(["x"], expert="phi4_fast"))[0],
    }


def asks(question):
    said = ask([Message("user", question)], expert="phi4_fast")
    finish = type(said.finish).__name__.rpartition("_")[2].lower()
    return {
        "said": [said.text, said.expert, finish, said.prompt_tokens, said.completion_tokens],
        "unknown": refused(lambda: ask("x", expert="nobody")),
        "wrong": refused(lambda: ask("x", max_tokens=0))[0],
    }


def decides(_):
    labels = ["money", ("travel", "trains and trips")]
    questions = [predicate("The customer paid twice.", yes="It did."), choice("What is it about?", labels)]
    weights = decide("My card was charged twice.", questions)
    return {
        "labels": [len(of.probabilities) for of in weights],
        "whole": all(abs(sum(of.probabilities) - 1) < 1e-6 and of.mass <= 1 for of in weights),
        "unknown": refused(lambda: decide("x", questions, expert="nobody")),
    }


def counts(_):
    expert = next(known for known in menu() if known.id() == "phi4_fast")
    return {
        "cached": isinstance(expert.cached_tokens(), int),
        "tokens": count_tokens("one two", "phi4_fast") > 0,
        "unknown": refused(lambda: count_tokens("x", "nobody")),
    }


DOES = {work.__name__: work for work in (keeps, fetches, embeds, asks, decides, counts)}


def handle(request, edits):
    what, _, rest = request.last_user_text().partition(" ")
    work = DOES.get(what)
    return answer(json.dumps(work(rest))) if work else proceed
