"""The text of a case: random ids, chosen so that the best next token is the best by a margin.

Then the agreement of best tokens measures an engine, and not how it tosses coins between equals.
"""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from architectures import BOI, EOI, SOFT

if TYPE_CHECKING:
    from cases import Case

MARGIN = 0.15  # between the two best logits
TRIES = 40  # for one id; the last is kept
WORDS = range(3, BOI)


def choose(case: "Case", seed: int, logits: Callable[[list[int]], Tensor]) -> list[int]:
    """Ids one by one, each drawn until its row of logits, and those of a picture behind it, are decided."""
    draw = random.Random(seed)
    ids = [draw.choice(WORDS) if word is None else word for word in layout(case)]
    free = [position for position, word in enumerate(layout(case)) if word is None]
    for position, following in zip(free, [*free[1:], len(ids)]):
        for _ in range(TRIES):
            best = logits(ids)[position:following].topk(2).values
            if (best[:, 0] - best[:, 1]).min() >= MARGIN:
                break
            ids[position] = draw.choice(WORDS)
    return ids


def layout(case: "Case") -> list[int | None]:
    """Pictures among words, which also begin and end the text; a word is None."""
    pictures = [[BOI, *[SOFT] * case.config["mm_tokens_per_image"], EOI] for _ in case.images]
    gap = (case.tokens - sum(map(len, pictures))) // (len(pictures) + 1)
    words = [None] * gap
    ids = [*words, *[None] * (case.tokens - sum(map(len, pictures)) - gap * (len(pictures) + 1))]
    for picture in pictures:
        ids += picture + words
    return ids
