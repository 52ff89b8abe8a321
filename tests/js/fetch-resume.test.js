/** How the two HTTP streams go on after a cut: nothing missing, nothing twice, and not for ever. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import {
  DurableStreamIncompleteError,
  StreamReadError,
  StreamReconnectLimitError,
  StreamTruncatedError,
} from "../../static/js/connection-adapters.js";
import { serveAgui } from "./support/agui-server.js";
import { body, FAST, KINDS, RUN, scripted } from "./support/fetches.js";
import { collect, eventually, textOf, userMessage } from "./support/waiting.js";

const server = serveAgui();

let chats = 0;

for (const { kind, name, adapter, chunk, tagged, connectTo } of KINDS) {
  describe(name, () => {
    const chatUrl = () => `${server.url}/api/chat/${kind}?id=chat-${kind}-${++chats}`;

    /** @param {string} text @param {Parameters<typeof adapter>[1]} [options] */
    const ask = (text, options = FAST, run = RUN) =>
      adapter(chatUrl(), options).connect([userMessage(text)], undefined, undefined, run);

    test("cut after any event, and within any: nothing is missing and nothing twice", async () => {
      const whole = (await collect(ask("/tool please", FAST, { ...RUN, runId: `whole-${kind}` }))).chunks;
      assert.ok(whole.length > 15);
      for (const within of [false, true]) {
        const runs = whole.map(async (_, cutAfter) => {
          const runId = `cut-${kind}-${cutAfter}-${within}`;
          const options = { reconnect: { delayMs: 1, maxAttempts: 2 } };
          const { chunks, error } = await collect(ask("/tool please", options, { ...RUN, runId }));
          if (cutAfter === 0)
            return assert.ok(error instanceof StreamReadError || error instanceof StreamTruncatedError);
          assert.equal(error, undefined, `${runId}: ${error}`);
          const told = JSON.stringify(chunks).replaceAll(runId, `whole-${kind}`);
          assert.deepEqual(typesOf(JSON.parse(told)), typesOf(whole), runId);
          return undefined;
        });
        server.fate = ({ runId, after }) =>
          after || !runId.startsWith("cut") ? undefined : { cutAfter: Number(runId.split("-")[2]), within };
        await Promise.all(runs);
      }
    });

    test("it goes on by Last-Event-ID with the same body, and headers asked for anew", async () => {
      let token = 0;
      server.fate = ({ after }) => (after ? undefined : { cutAfter: 3 });
      const { chunks } = await collect(
        ask(
          "one two three",
          { ...FAST, headers: () => ({ Authorization: `Bearer ${++token}` }) },
          { ...RUN, runId: `again-${kind}` },
        ),
      );
      assert.equal(textOf(chunks), "Echo: one two three");
      const [first, second] = server.requests;
      assert.equal(server.requests.length, 2);
      assert.equal(first.headers["last-event-id"], undefined);
      assert.equal(second.headers["last-event-id"], `again-${kind}.3`);
      assert.deepEqual(second.body, first.body);
      assert.deepEqual(
        [first, second].map(({ headers }) => headers.authorization),
        ["Bearer 1", "Bearer 2"],
      );
    });

    test("what a server repeats is left out; events without a tag are counted from the last one", async () => {
      const { chunks } = await connectTo(
        () =>
          new Response(
            body(
              tagged("0", { type: "0" }) + chunk("1") + tagged("1", { type: "A" }) + chunk("B") + chunk("C"),
              new TypeError("cut"),
            ),
          ),
        () =>
          new Response(body(tagged("1", { type: "A" }) + chunk("B") + chunk("C") + chunk("D"), new TypeError("cut"))),
        () =>
          new Response(body(chunk("B") + chunk("C") + chunk("D") + tagged("2", { type: "E" }), new TypeError("cut"))),
        () =>
          new Response(
            body(
              tagged("0", { type: "0" }) +
                chunk("1") +
                tagged("2", { type: "E" }) +
                tagged("3", { type: "RUN_FINISHED" }),
            ),
          ),
      ).chunks;
      assert.deepEqual(
        chunks.map(({ type }) => type),
        ["0", "1", "A", "B", "C", "D", "E", "RUN_FINISHED"],
      );
    });

    test("attempts in vain are bounded, with news in between they are not", async () => {
      const cut = (/** @type {string} */ text) => () => new Response(body(text, new TypeError("cut")));
      const news = Array.from({ length: 20 }, (_, n) => cut(tagged(String(n), { type: "N" })));
      const { chunks, error } = await connectTo(...news, ...Array.from({ length: 20 }, () => cut(""))).chunks;
      assert.equal(chunks.length, 20);
      assert.ok(error instanceof StreamReconnectLimitError);
      assert.equal(error.attempts, 5);
      assert.ok(error.cause instanceof StreamReadError);
    });

    test("maxAttempts and delayMs are heeded and checked", async () => {
      const reconnect = { maxAttempts: 1, delayMs: 0 };
      const { fetchClient, asked } = scripted(
        () => new Response(body(tagged("1", { type: "A" }), new TypeError("cut"))),
      );
      const { error } = await collect(adapter("http://chat.test/", { fetchClient, reconnect }).connect([]));
      assert.ok(error instanceof StreamReconnectLimitError);
      assert.equal(asked.length, 3); // the first, the one after progress, and one in vain
      for (const bad of [
        { maxAttempts: NaN },
        { maxAttempts: -1 },
        { maxAttempts: 1.5 },
        { delayMs: Infinity },
        { delayMs: -1 },
      ]) {
        assert.ok(
          (await collect(adapter("http://chat.test/", { reconnect: bad }).connect([]))).error instanceof RangeError,
        );
      }
    });

    test("a server that is restarting is asked again, one that says no for good is not", async () => {
      const start = () => new Response(body(tagged("1", { type: "A" }), new TypeError("cut")));
      const busy = connectTo(
        start,
        () => new Response('{"error":"Restarting."}', { status: 503 }),
        () => new Response(tagged("2", { type: "RUN_FINISHED" })),
      );
      assert.equal((await busy.chunks).error, undefined);
      const gone = connectTo(start, () => new Response('{"error":"No such run."}', { status: 404 }));
      assert.equal((await gone.chunks).error?.message, "No such run.");
    });

    test("a tagged run that ends without an end is asked for again, and then it is an error", async () => {
      const { chunks, error } = await connectTo(
        () => new Response(tagged("1", { type: "A" })),
        () => new Response(tagged("2", { type: "B" })),
        ...Array.from({ length: 9 }, () => () => new Response("")),
      ).chunks;
      assert.equal(chunks.length, 2);
      assert.ok(error instanceof DurableStreamIncompleteError);
    });

    test("a connection that breaks after the end of the run is no error, whatever comes of asking again", async () => {
      const end = () => new Response(body(tagged("1", { type: "RUN_FINISHED" }), new TypeError("reset")));
      assert.equal((await connectTo(end, () => new Response("")).chunks).error, undefined);
      assert.equal((await connectTo(end).chunks).error, undefined);
    });

    test("joinRun reads a run from its beginning, also one under way, and resumes", async () => {
      const url = chatUrl();
      const connection = adapter(url, FAST);
      const first = collect(
        connection.connect([userMessage("/long 20")], undefined, undefined, { ...RUN, runId: `joined-${kind}` }),
      );
      await eventually(() => server.streams.length === 1);
      server.fate = ({ method, after }) => (method === "GET" && after === "-1" ? { cutAfter: 4 } : undefined);
      const joined = await collect(connection.joinRun(`joined-${kind}`));
      assert.deepEqual(joined.chunks, (await first).chunks);
      const asked = server.requests
        .filter(({ method }) => method === "GET")
        .map(({ url, headers }) => [
          url.searchParams.get("offset"),
          url.searchParams.get("id")?.startsWith("chat-"),
          headers["last-event-id"],
        ]);
      assert.deepEqual(asked, [
        ["-1", true, undefined],
        ["-1", true, `joined-${kind}.4`],
      ]);
      assert.equal((await collect(connection.joinRun("nobody"))).error?.message, "There is no such run.");
    });

    test("a server that pings and falls silent counts as lost", async () => {
      /** @param {RequestInit} init */
      const silent = ({ signal }) =>
        new Response(
          new ReadableStream({
            start(controller) {
              controller.enqueue(new TextEncoder().encode(tagged("1", { type: "A" })));
              signal?.addEventListener("abort", () => controller.error(signal.reason));
            },
          }),
        );
      const { fetchClient } = scripted(silent, () => new Response(tagged("2", { type: "RUN_FINISHED" })));
      const { chunks, error } = await collect(
        adapter("http://chat.test/", { fetchClient, ping: 20, ...FAST }).connect([]),
      );
      assert.equal(error, undefined);
      assert.equal(chunks.length, 2);
    });
  });
}

/** @param {any[]} chunks */
const typesOf = (chunks) =>
  chunks.map(({ type, delta, toolCallId, messageId }) => [type, delta, toolCallId, messageId]);
