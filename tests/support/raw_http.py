"""HTTP as bytes, for requests that no well-behaved client would send."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """``headers`` have lower-case names; a name that was sent twice is an error."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def exchange(port: int, *pieces: bytes) -> Reply:
    """Send ``pieces`` to a server here, stopping when it hangs up, and read until it does."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has answered already
        received = bytearray()
        try:
            while data := connection.recv(1 << 16):
                received += data
        except ConnectionResetError:
            pass  # what we sent and it never read makes the goodbye a reset
    return parse(bytes(received))


def request(
    method: str,
    target: str | bytes,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    framed: bool = True,
) -> bytes:
    """A request that asks the server to hang up afterwards, with the length of its body if ``framed``."""
    raw_target = target.encode("latin-1") if isinstance(target, str) else target
    fields = [("Host", "streams.test"), ("Connection", "close"), *headers]
    if framed and (body or method in ("POST", "PUT")):
        fields.append(("Content-Length", str(len(body))))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1")
    return method.encode() + b" " + raw_target + b" HTTP/1.1\r\n" + head + b"\r\n" + body


def parse(received: bytes) -> Reply:
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        assert name.lower() not in headers, f"{name} was sent twice"
        headers[name.lower()] = value
    return Reply(int(first.split()[1]), headers, body)
