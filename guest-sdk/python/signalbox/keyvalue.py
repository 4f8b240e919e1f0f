"""What a policy keeps from one call to the next: keys and values in its own bucket, which all its revisions share.

Needs "keyvalue" under "uses" in policy.json. The bucket has a quota; what does not fit is an error."""

from typing import Callable, List, Optional, Union

from componentize_py_types import Err

from ._contract import HostError, asked, interface

_store = interface("keyvalue", "Bucket", "wasi_keyvalue_store", "store")
_atomics = interface("keyvalue", "Cas", "atomics")


class Error(HostError):
    """Why the bucket did not do what it was asked for."""


class NoSuchStore(Error):
    """The host has no bucket for this policy."""

    def __init__(self):
        super().__init__("the host has no bucket for this policy")


class AccessDenied(Error):
    """The host lets this policy have none."""

    def __init__(self):
        super().__init__("this policy may have no bucket")


class Other(Error):
    """Something else, in words: it is full, a value is no number, its file is damaged."""


def _bytes(value: Union[str, bytes]) -> bytes:
    return value.encode() if isinstance(value, str) else value


class Bucket:
    """Keys and values. A key has 1 to 256 bytes; a value that is a text is kept in UTF-8. Every method raises `Error`."""

    def __init__(self, store):
        self._store = store

    def get(self, key: str) -> Optional[bytes]:
        """The value of `key`, if there is one."""
        return asked(Error, self._store.get, key)

    def get_text(self, key: str) -> Optional[str]:
        """The same as a text."""
        value = self.get(key)
        return None if value is None else value.decode()

    def set(self, key: str, value: Union[str, bytes]) -> None:
        """Gives `key` this value."""
        asked(Error, self._store.set, key, _bytes(value))

    def delete(self, key: str) -> None:
        """Takes `key` out; does nothing where it is not there."""
        asked(Error, self._store.delete, key)

    def exists(self, key: str) -> bool:
        """Whether `key` is there."""
        return asked(Error, self._store.exists, key)

    def keys(self) -> List[str]:
        """Every key, page by page."""
        page = asked(Error, self._store.list_keys, None)
        keys = page.keys
        while page.cursor is not None:
            page = asked(Error, self._store.list_keys, page.cursor)
            keys += page.keys
        return keys

    def increment(self, key: str, delta: int = 1) -> int:
        """Adds `delta` to the number that `key` has in decimal digits, 0 where it is not there; the sum. Calls that do
        this at the same time lose nothing."""
        return asked(Error, _atomics.increment, self._store, key, delta)

    def update(self, key: str, change: Callable[[Optional[bytes]], Union[str, bytes]]) -> None:
        """Makes a new value of the one that `key` has. Where another call was there meanwhile, `change` is asked again."""
        seen = asked(Error, _atomics.Cas.new, self._store, key)
        while seen is not None:
            value = change(asked(Error, seen.current))
            seen = asked(Error, _swapped, seen, _bytes(value))


def _swapped(seen, value: bytes):
    """Nothing where it was swapped, otherwise the value as it is now."""
    try:
        _atomics.swap(seen, value)
        return None
    except Err as error:
        met = error.value
    if isinstance(met, _atomics.CasError_CasFailed):
        return met.value
    raise Err(met.value)


def open() -> Bucket:
    """The bucket of this policy."""
    return Bucket(asked(Error, _store.open, "default"))
