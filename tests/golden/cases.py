"""The list of cases. One more case is one more line."""

from dataclasses import dataclass

from architectures import gemma_text, gemma_text_5, seeing
from plain import Write, plain


@dataclass(frozen=True)
class Case:
    """One checkpoint and one text."""

    name: str
    config: dict
    write: Write
    tokens: int = 32
    images: tuple[str, ...] = ()
    note: str = ""


CASES = [
    Case("gemma3-vision-one-v4-bf16", seeing(gemma_text()), plain("bf16", gemma_4=True), images=("wide.png",)),
    Case("gemma3-vision-two-v5-bf16", seeing(gemma_text_5()), plain("bf16"), images=("tall.png", "large.png")),
]
