"""Asking other hosts over HTTP: those that the operator lists for this policy (`policies.http_hosts`), and nobody else.

Needs "http" under "uses" in policy.json. A request waits for its answer, and what it waits is the host's time. Redirects are
answers like others. Nothing is sent while a component is probed: be ready for an error."""

import json as _json
import re
from dataclasses import dataclass
from typing import List, Mapping, Optional, Tuple, Union

from componentize_py_types import Err, Ok

from ._contract import HostError, interface

_types = interface("http", "OutgoingRequest", "wasi_http_types", "types")
_handler = interface("http", "handle", "outgoing_handler")
_streams = interface("http", "StreamError_Closed", "streams")

# What a stream takes at once without being asked.
_CHUNK = 4096
# What is read at once.
_PIECE = 64 << 10
# Bytes of an answer's body, where the policy sets no bound of its own.
_ANSWER_BYTES = 1 << 20
_URL = re.compile(r"(https?)://([^/?#]+)([^#]*)")


class Error(HostError):
    """Why there is no answer."""


class Denied(Error):
    """The operator does not list the host, the call has sent as many requests as it may, or nothing is sent from here."""


class Timeout(Error):
    """The time is over."""


class TooLarge(Error):
    """The request, or the answer, is larger than it may be."""


class Invalid(Error):
    """The request makes no sense."""


class Failed(Error):
    """Something else went wrong on the way."""


@dataclass(frozen=True)
class Response:
    """An answer, whatever its status."""

    status: int
    headers: List[Tuple[str, str]]
    body: bytes

    def header(self, name: str) -> Optional[str]:
        """The first header of this name."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    def text(self) -> str:
        """The body as a text; bytes that are none become U+FFFD."""
        return self.body.decode(errors="replace")

    def json(self):
        """What the body says in JSON."""
        return _json.loads(self.body)


def get(
    url: str,
    *,
    headers: Optional[Mapping[str, str]] = None,
    within_ms: int = 5000,
    bytes_max: int = _ANSWER_BYTES,
) -> Response:
    """Asks for what is at `url`, and waits for the whole answer. Raises `Error`."""
    return _send(_types.Method_Get(), url, b"", headers or {}, within_ms, bytes_max)


def post(
    url: str,
    body: Union[str, bytes],
    *,
    headers: Optional[Mapping[str, str]] = None,
    within_ms: int = 5000,
    bytes_max: int = _ANSWER_BYTES,
) -> Response:
    """Sends a text or bytes to `url`, and waits for the whole answer. Raises `Error`."""
    sent = body.encode() if isinstance(body, str) else body
    return _send(_types.Method_Post(), url, sent, headers or {}, within_ms, bytes_max)


def _send(method, url: str, sent: bytes, headers: Mapping[str, str], within_ms: int, bytes_max: int) -> Response:
    request = _outgoing(method, url, headers)
    body = _sendable("its content-length", request.body)
    options = _types.RequestOptions()
    # Answers come whole, so the time until their first byte is all of it.
    _sendable("its time", options.set_first_byte_timeout, within_ms * 1_000_000)
    try:
        pending = _handler.handle(request, options)
    except Err as error:
        code = error.value
    else:
        _write(body, sent)
        with pending, _waited(pending) as incoming:
            return _answered(incoming, bytes_max)
    raise _failed(code)


def _outgoing(method, url: str, headers: Mapping[str, str]):
    found = _URL.match(url)
    if found is None:
        raise Invalid(f"'{url}' is no URL that begins with https:// or http://")
    scheme, authority, path = found.groups()
    fields = _types.Fields()
    for name, value in headers.items():
        _sendable(f"the header '{name}'", fields.append, name, value.encode())
    request = _types.OutgoingRequest(fields)
    scheme = _types.Scheme_Https() if scheme == "https" else _types.Scheme_Http()
    _sendable("its method", request.set_method, method)
    _sendable("its scheme", request.set_scheme, scheme)
    _sendable("its host", request.set_authority, authority)
    _sendable("its path", request.set_path_with_query, path if path.startswith("/") else f"/{path}")
    return request


def _sendable(what: str, work, *arguments):
    """Runs a step of a request that makes no sense where it is refused."""
    try:
        return work(*arguments)
    except Err:
        pass
    raise Invalid(f"the request makes no sense: {what} can't be sent")


def _write(body, sent: bytes) -> None:
    """A body that is not taken is a request that fails, and its answer says why."""
    try:
        with body.write() as stream:
            for at in range(0, len(sent), _CHUNK):
                stream.blocking_write_and_flush(sent[at : at + _CHUNK])
        _types.OutgoingBody.finish(body, None)
    except Err:
        pass


def _waited(pending):
    said = pending.get()
    while said is None:
        with pending.subscribe() as pollable:
            pollable.block()
        said = pending.get()
    # The outer result is of whoever takes the answer a second time.
    answer = said.value
    if isinstance(answer, Ok):
        return answer.value
    raise _failed(answer.value)


def _answered(incoming, bytes_max: int) -> Response:
    with incoming.headers() as fields:
        headers = [(name, value.decode(errors="replace")) for name, value in fields.entries()]
    with incoming.consume() as body, body.stream() as stream:
        return Response(incoming.status(), headers, _read(stream, bytes_max))


def _read(stream, bytes_max: int) -> bytes:
    whole = bytearray()
    while True:
        try:
            whole += stream.blocking_read(_PIECE)
        except Err as error:
            if isinstance(error.value, _streams.StreamError_Closed):
                return bytes(whole)
            break
        if len(whole) > bytes_max:
            raise TooLarge("the request or its answer is too large")
    raise Failed("the request failed: its answer breaks off")


def _failed(code) -> Error:
    kind = type(code).__name__.partition("_")[2]
    if kind == "HttpRequestDenied":
        return Denied("the request may not be sent")
    if kind in ("HttpResponseTimeout", "ConnectionTimeout"):
        return Timeout("there was no answer in time")
    if kind in ("HttpRequestBodySize", "HttpResponseBodySize"):
        return TooLarge("the request or its answer is too large")
    return Failed(f"the request failed: {kind}")
