"""The physical limit: what one event loop can write to sockets when it does nothing else.

Every GET is a reader that stays; every POST is acknowledged and its body written to all of them as one SSE
frame. Nothing is parsed, kept or checked.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

_READERS: set[asyncio.WriteTransport] = set()
_LIVE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nevent: control\ndata:{}\n\n"
_FRAME = b'event: data\ndata:[%b]\n\nevent: control\ndata:{"streamNextOffset":"0","upToDate":true}\n\n'


class Bare(asyncio.Protocol):
    transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.WriteTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        method = data[:3]
        if method == b"GET":
            _READERS.add(self.transport)
            self.transport.write(_LIVE)
            return
        if method == b"POS":
            frame = _FRAME % data.partition(b"\r\n\r\n")[2]
            for reader in _READERS:
                reader.write(frame)
        self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    def connection_lost(self, _: Exception | None) -> None:
        _READERS.discard(self.transport)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
