"""A durable chat without a framework and without our pages: one ASGI app.

    python -m examples.plain_asgi --port 8010 --data-dir data/plain

    POST /api/chat?id=<chat>          {"messages": [...], "runId"?}; the answer goes to the session
    GET  /api/chat-stream?id=<chat>   the session from ?offset=, with &live=sse as it is written
    GET  /api/chats?id=<chat>         the messages so far, and the offset to read on from
    POST /api/sse, POST /api/ndjson   the same agent, its answer as the response itself

TanStack's ChatClient talks to the first two with ``durableStreamConnection`` of
``@durable-streams/tanstack-ai-transport``, and to the last two with ``fetchServerSentEvents`` and
``fetchHttpStream``. Who may do what is for you to add.
"""

import argparse
import asyncio
import json
import re
from urllib.parse import parse_qs

import uvicorn

from webapp import session
from webapp.session import DurableStream


async def parrot(messages):
    """The agent: any async generator of strings, AG-UI events, or both."""
    yield "You said: "
    for word in text_of(messages[-1]).split():
        yield f"{word} "
        await asyncio.sleep(0.02)


class App:
    def __init__(self, data_dir):
        self.data_dir = data_dir
        self.snapshots = {}
        self.seen = set()
        self.lock = asyncio.Lock()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        elif scope["type"] == "http":
            response = await self.respond(scope, receive)
            await response(scope, receive, send)

    async def live(self, receive, send):
        await receive()  # lifespan.startup
        # Or keep a session.HttpStreamClient("http://host:4437/v1/stream") for a stream server elsewhere.
        async with session.embedded_streams(self.data_dir) as self.streams:
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
            await session.finish_writes(grace=2)
        await send({"type": "lifespan.shutdown.complete"})

    async def respond(self, scope, receive):
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        routes = {
            ("POST", "/api/chat"): self.send,
            ("GET", "/api/chat-stream"): self.read,
            ("GET", "/api/chats"): self.show,
            ("POST", "/api/sse"): self.answer_by(session.to_server_sent_events_response),
            ("POST", "/api/ndjson"): self.answer_by(session.to_http_stream_response),
        }
        handler = routes.get((method, scope["path"]))
        if handler is None:
            return reply(404, {"error": "There is nothing at this address."})
        try:
            return await handler(scope, receive)
        except (KeyError, IndexError, TypeError, ValueError):
            return reply(400, {"error": "The request could not be understood."})
        except session.StreamError as error:
            return session.to_error_response(error)

    async def send(self, scope, receive):
        stream = await self.chat(scope)
        # Clients send the whole conversation. What counts is in the stream; only the newest message is new.
        messages, run_id = await conversation(receive)
        known = (await self.snapshot(stream)).messages
        return await session.to_durable_chat_session_response(
            stream,
            new_messages=messages[-1:],
            response_stream=parrot([*known, *messages[-1:]]),
            run_id=run_id,
        )

    async def read(self, scope, receive):
        return session.to_durable_stream_read_response(await self.chat(scope))

    async def show(self, scope, receive):
        snapshot = await self.snapshot(await self.chat(scope))
        return reply(200, snapshot.to_json())

    def answer_by(self, respond):
        async def answer(scope, receive):
            messages, run_id = await conversation(receive)
            return respond(parrot(messages), run_id=run_id)

        return answer

    async def snapshot(self, stream):
        """The session now; only what is new since last time is read."""
        known = self.snapshots.get(stream.path)
        now = await session.materialize_snapshot_from_durable_stream(stream, after=known)
        self.snapshots[stream.path] = now
        return now

    async def chat(self, scope):
        chat_id = parse_qs(scope["query_string"].decode())["id"][0]
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", chat_id):
            raise ValueError("no chat id")
        stream = DurableStream(self.streams, f"chats/{chat_id}")
        async with self.lock:
            if chat_id not in self.seen:  # an earlier process may have been killed in the middle of an answer
                await session.interrupt_abandoned_runs(stream)
                self.seen.add(chat_id)
        return stream


async def conversation(receive):
    """The messages up to the newest of a person, and the id of the run that is asked for."""
    body = await read_json(receive)
    messages = list(body["messages"])
    while messages[-1]["role"] != "user":
        messages.pop()
    return messages, body.get("runId")


def text_of(message):
    parts = message.get("parts", message.get("content"))
    return parts if isinstance(parts, str) else " ".join(part.get("content", "") for part in parts)


async def read_json(receive):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return json.loads(body)


def reply(status, value):
    async def app(scope, receive, send):
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(value).encode()})

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8010)
    parser.add_argument("--data-dir", default="data/plain")
    options = parser.parse_args()
    # A live reader stays for a minute; at a restart it need not be waited for, it comes back by itself.
    uvicorn.run(App(options.data_dir), port=options.port, timeout_graceful_shutdown=1)
