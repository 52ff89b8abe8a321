/** The two HTTP streams, over real sockets: what is asked, and how it ends. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import {
  ChunkParseError,
  EventTooLargeError,
  HttpError,
  StreamReadError,
  StreamTruncatedError,
} from "../../static/js/connection-adapters.js";
import { serveAgui } from "./support/agui-server.js";
import { body, FAST, KINDS, RUN, scripted } from "./support/fetches.js";
import { collect, eventually, textOf, userMessage, watchedController, watchTimers } from "./support/waiting.js";

const server = serveAgui();

let chats = 0;

for (const { kind, name, adapter, line, chunk, connectTo } of KINDS) {
  describe(name, () => {
    const chatUrl = () => `${server.url}/api/chat/${kind}?id=chat-${kind}-${++chats}`;

    /** @param {string} text @param {Parameters<typeof adapter>[1]} [options] */
    const ask = (text, options = FAST, run = RUN) =>
      adapter(chatUrl(), options).connect([userMessage(text)], undefined, undefined, run);

    test("a run: all its chunks, in order", async () => {
      const { chunks, error } = await collect(ask("Hello there"));
      assert.equal(error, undefined);
      assert.equal(textOf(chunks), "Echo: Hello there");
      assert.deepEqual([chunks[0].type, chunks.at(-1).type], ["RUN_STARTED", "RUN_FINISHED"]);
    });

    test("the request is AG-UI's RunAgentInput; later sources win", async () => {
      const resume = [{ interruptId: "i", status: "resolved", payload: 1 }];
      const tools = [{ name: "clock", description: "tells the time", parameters: { type: "object" } }];
      const run = {
        ...RUN,
        runId: "run-2",
        parentRunId: "run-0",
        resume,
        clientTools: tools,
        forwardedProps: { b: "forwarded", c: "forwarded" },
        headers: { "X-Key": "k" },
      };
      const options = { body: { a: "body", b: "body", c: "body" }, headers: { Authorization: "Bearer t" } };
      const messages = [userMessage("x", "u1")];
      await collect(adapter(chatUrl(), options).connect(messages, { c: "data" }, undefined, run));
      const [{ method, body, headers }] = server.requests;
      const forwardedProps = { a: "body", b: "forwarded", c: "data" };
      assert.equal(method, "POST");
      assert.deepEqual(body, {
        threadId: "thread-1",
        runId: "run-2",
        parentRunId: "run-0",
        resume,
        state: {},
        messages: [{ id: "u1", role: "user", content: "x" }],
        tools,
        context: [],
        forwardedProps,
        data: forwardedProps,
      });
      assert.equal(headers["x-run-id"], "run-2");
      assert.equal(headers["x-key"], "k");
      assert.equal(headers.authorization, "Bearer t");
      assert.equal(headers["content-type"], "application/json");
    });

    test("without a run context there are ids all the same", async () => {
      await collect(adapter(chatUrl()).connect([userMessage("x")]));
      const [{ body, headers }] = server.requests;
      assert.match(body.threadId, /^[0-9a-f]{32}$/);
      assert.match(body.runId, /^[0-9a-f]{32}$/);
      assert.notEqual(body.threadId, body.runId);
      assert.equal(headers["x-run-id"], undefined);
    });

    test("functions are asked at every request: address, options, headers", async () => {
      let turn = 0;
      const connection = adapter(
        () => `${server.url}/api/chat/${kind}?id=dynamic-${kind}-${++turn}`,
        async () => ({ body: { turn }, headers: async () => ({ "X-Turn": String(turn) }), ...FAST }),
      );
      for (const runId of ["d1", "d2"])
        await collect(connection.connect([userMessage("x")], undefined, undefined, { ...RUN, runId }));
      assert.deepEqual(
        server.requests.map(({ url, headers }) => [url.searchParams.get("id"), headers["x-turn"]]),
        [
          [`dynamic-${kind}-1`, "1"],
          [`dynamic-${kind}-2`, "2"],
        ],
      );
    });

    test("a relative address belongs to the page; credentials and fetchClient are used", async () => {
      const { fetchClient, asked } = scripted(() => new Response(chunk("RUN_FINISHED")));
      // @ts-expect-error: a page
      globalThis.document = { baseURI: "https://page.test/chat/1" };
      try {
        await collect(adapter("/api/run", { fetchClient, credentials: "include" }).connect([]));
      } finally {
        // @ts-expect-error: as above
        delete globalThis.document;
      }
      assert.equal(asked[0].url, "https://page.test/api/run");
      assert.equal(asked[0].init.credentials, "include");
    });

    test("an untagged stream that ends is all there is", async () => {
      server.fate = () => ({ untagged: true });
      const { chunks, error } = await collect(ask("Hello", FAST, { ...RUN, runId: `plain-${kind}` }));
      assert.equal(error, undefined);
      assert.equal(textOf(chunks), "Echo: Hello");
      assert.equal(server.requests.length, 1);
    });

    test("[DONE] ends the run once", async () => {
      const done = kind === "sse" ? "data: [DONE]\n\n" : "[DONE]\n";
      const bare = connectTo(
        () => new Response(body(chunk("RUN_STARTED", { threadId: "t9", runId: "r9" }), done, "garbage\n\n")),
      );
      const { chunks, error } = await bare.chunks;
      assert.equal(error, undefined);
      assert.deepEqual(
        chunks.map(({ type, threadId, runId }) => [type, threadId, runId]),
        [
          ["RUN_STARTED", "t9", "r9"],
          ["RUN_FINISHED", "t9", "r9"],
        ],
      );
      assert.equal(chunks[1].metadata.tanstack.finishReason, "stop");
      const told = await connectTo(() => new Response(body(chunk("RUN_FINISHED", { runId: "r" }), done))).chunks;
      assert.equal(told.chunks.length, 1);
    });

    test("a refusal throws the server's sentence, or its status", async () => {
      const refused = async () => (await collect(ask("x"))).error;
      server.refuse = () => ({
        status: 429,
        body: '{"error":"Too many messages.","code":"rate-limited"}',
        headers: { "Retry-After": "3" },
      });
      const told = await refused();
      assert.ok(told instanceof HttpError);
      assert.deepEqual(
        [told.message, told.status, told.code, told.retryAfter],
        ["Too many messages.", 429, "rate-limited", 3000],
      );
      server.refuse = () => ({ status: 502, body: "<html>" });
      assert.equal((await refused())?.message, "The server answered 502.");
    });

    test("who cannot be reached, or answers with a page, throws", async () => {
      const nobody = await connectTo().chunks;
      assert.ok(nobody.error instanceof StreamReadError);
      assert.ok(nobody.error.cause instanceof TypeError);
      const page = await connectTo(() => new Response("<!doctype html>", { headers: { "Content-Type": "text/html" } }))
        .chunks;
      assert.match(String(page.error), /A page came/);
    });

    test("what is no JSON object throws, after what came before it", async () => {
      for (const bad of ["{not json", "17", "null", '"text"', "[1]"]) {
        const { chunks, error } = await connectTo(() => new Response(body(chunk("RUN_STARTED") + line(bad)))).chunks;
        assert.ok(error instanceof ChunkParseError, bad);
        assert.equal(error.text, bad);
        assert.deepEqual(
          chunks.map(({ type }) => type),
          ["RUN_STARTED"],
        );
      }
    });

    test("a chunk of more than 1 MiB throws", async () => {
      const { error } = await connectTo(() => new Response(body(chunk("X", { text: "x".repeat(1024 * 1024) })))).chunks;
      assert.ok(error instanceof EventTooLargeError);
    });

    test("a stream without tags that breaks, or ends in the middle, throws", async () => {
      const broken = await connectTo(() => new Response(body(chunk("RUN_STARTED"), new TypeError("terminated"))))
        .chunks;
      assert.ok(broken.error instanceof StreamReadError);
      assert.equal(broken.chunks.length, 1);
      const half = await connectTo(() => new Response(body(chunk("RUN_STARTED"), line('{"type":"X"}').slice(0, -4))))
        .chunks;
      assert.ok(half.error instanceof StreamTruncatedError);
    });

    test("several turns in one answer are all read", async () => {
      const turn = (/** @type {number} */ n) =>
        chunk("RUN_STARTED", { runId: `t${n}` }) + chunk("RUN_FINISHED", { runId: `t${n}` });
      assert.equal((await connectTo(() => new Response(body(turn(1), turn(2)))).chunks).chunks.length, 4);
    });

    test("hydrate asks for the thread, its messages and the run to join", async () => {
      const connection = adapter(chatUrl());
      await collect(connection.connect([userMessage("Hi")]));
      const { messages, activeRun, page } = await connection.hydrate("thread-1", { limit: 5, before: "c" });
      assert.deepEqual(
        messages.map((/** @type {any} */ { role }) => role),
        ["user", "assistant"],
      );
      assert.deepEqual([activeRun, page], [null, { truncated: false }]);
      const { searchParams } = server.requests.at(-1)?.url ?? new URL("http://none");
      assert.deepEqual(
        ["threadId", "limit", "before"].map((name) => searchParams.get(name)),
        ["thread-1", "5", "c"],
      );
    });

    test("an abort at any time propagates, closes the connection and leaves nothing behind", async () => {
      const timers = watchTimers();
      for (const moment of ["before", "options", "headers", "request", "reading", "pause"]) {
        const controller = watchedController();
        const hang = () => new Promise(() => {});
        const options = {
          ...FAST,
          ping: 3_600_000,
          ...(moment === "pause" && { reconnect: { delayMs: 3_600_000 } }),
          ...(moment === "headers" && { headers: hang }),
          ...(moment === "request" && { fetchClient: hangingFetch }),
        };
        server.fate = () => (moment === "pause" ? { cutAfter: 2 } : undefined);
        const connection = adapter(chatUrl(), /** @type {any} */ (moment === "options" ? hang : options));
        if (moment === "before") controller.abort();
        const reading = collect(
          connection.connect([userMessage("/long 1000")], undefined, controller.signal, {
            ...RUN,
            runId: `abort-${kind}-${moment}`,
          }),
        );
        if (moment === "reading") await eventually(() => (server.streams.at(-1)?.sent.length ?? 0) > 3);
        if (moment === "pause")
          await eventually(() => server.streams.at(-1)?.sent.length === 2 && server.open.size === 0);
        await pause(5);
        controller.abort();
        const { error } = await reading;
        assert.equal(error?.name, "AbortError", moment);
        assert.equal(controller.listeners, 0, moment);
        assert.equal(timers.pending, 0, moment);
        await eventually(() => server.open.size === 0, `${moment}: the server is let go`);
      }
      timers.restore();
    });

    test("who stops reading lets go of the server", async () => {
      for await (const _ of ask("/long 1000", FAST, { ...RUN, runId: `left-${kind}` })) break;
      await eventually(() => server.open.size === 0);
    });

    test("the connection's own signal ends all its requests", async () => {
      const controller = new AbortController();
      const reading = collect(
        ask("/long 1000", { ...FAST, signal: controller.signal }, { ...RUN, runId: `own-${kind}` }),
      );
      await eventually(() => server.open.size === 1);
      controller.abort(new Error("The page is closed."));
      assert.equal((await reading).error?.message, "The page is closed.");
    });
  });
}

/** @type {typeof fetch} */
const hangingFetch = (_, init) =>
  new Promise((_, reject) => init?.signal?.addEventListener("abort", () => reject(init.signal?.reason)));
