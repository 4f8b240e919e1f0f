"""The operator's settings for this policy (`policies.settings.NAME`). Needs "config" under "uses" in policy.json."""

from typing import Optional

from wit_world.imports import store


def setting(name: str, otherwise: Optional[str] = None) -> Optional[str]:
    """The setting of this name; `otherwise` when the operator set none."""
    value = store.get(name)
    return otherwise if value is None else value


def number(name: str, otherwise: Optional[float] = None) -> Optional[float]:
    """The setting of this name as a number; what is none is a mistake."""
    text = store.get(name)
    if text is None:
        return otherwise
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"the setting '{name}' is '{text}', which is no number") from None


def settings() -> dict:
    """All settings."""
    return dict(store.get_all())
