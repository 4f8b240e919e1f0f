"""Keeps calls within a budget: caps the tokens of a reply and refuses prompts that are too long.

Tokens are counted by the tokenizer of the expert that the client named, or else by that of the highest-priority
expert; chat templates add a few more, which are not counted here."""

from signalbox import log, too_large
from signalbox.pre import proceed
from signalbox.settings import number
from signalbox.tokens import Error, count_tokens

# Counted at once, in characters.
PIECE = 16 << 10


def handle(request, edits):
    most = int(number("prompt-tokens-max", 2048))
    found = beyond(request, most)
    if found is not None:
        raise too_large(f"the messages have {found} tokens and {most} are allowed; shorten them")
    cap = max(1, int(number("reply-tokens-max", 512)))
    wanted = request.max_tokens()
    if wanted is None or wanted > cap:
        edits.set_max_tokens(cap)
    return proceed


def beyond(request, most):
    """How many tokens all messages have, when they are more than `most`; no more than that is counted."""
    model, tokens = request.model(), 0
    for index in range(request.message_count()):
        content = request.message(index).content
        for at in range(0, len(content), PIECE):
            if tokens > most:
                return f"over {most}"
            tokens += counted(content[at : at + PIECE], model)
    return tokens if tokens > most else None


def counted(text, model):
    try:
        return count_tokens(text, model)
    except Error as error:
        log.warn(f"{error}; estimating one token per four characters")
        return len(text) // 4 + 1
