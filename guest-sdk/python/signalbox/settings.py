"""The operator's settings for this policy (`policies.settings.NAME`). Needs "config" under "uses" in policy.json."""

from typing import Optional

from ._contract import interface

_store = interface("config", "get_all", "wasi_config_store", "store")


def setting(name: str, otherwise: Optional[str] = None) -> Optional[str]:
    """The setting of this name; `otherwise` when the operator set none."""
    value = _store.get(name)
    return otherwise if value is None else value


def number(name: str, otherwise: Optional[float] = None) -> Optional[float]:
    """The setting of this name as a number; what is none is a mistake."""
    text = _store.get(name)
    if text is None:
        return otherwise
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"the setting '{name}' is '{text}', which is no number") from None


def settings() -> dict:
    """All settings."""
    return dict(_store.get_all())
