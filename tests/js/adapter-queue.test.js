import assert from "node:assert/strict";
import { test } from "node:test";

import { getChunkRunId, normalizeConnectionAdapter } from "../../static/js/connection-adapters.js";
import { collect, eventually, watchedController } from "./support/waiting.js";

/** @import {Chunk} from "../../static/js/types.js" */

const RUN = { threadId: "t", runId: "r" };

/** What a connect-only adapter with these chunks tells its subscriber, and how its send() ended. @param {AsyncIterable<Chunk> | Iterable<Chunk>} chunks */
async function run(chunks, context = RUN) {
  const connection = normalizeConnectionAdapter({
    async *connect() {
      yield* chunks;
    },
  });
  const controller = new AbortController();
  const reading = collect(connection.subscribe(controller.signal));
  const error = await connection.send([], undefined, undefined, context).then(
    () => undefined,
    (reason) => reason,
  );
  controller.abort();
  return { error, chunks: (await reading).chunks };
}

/** @param {...(Chunk | Error)} chunks */
async function* source(...chunks) {
  for (const chunk of chunks) {
    if (chunk instanceof Error) throw chunk;
    yield chunk;
  }
}

test("no adapter, both modes or half a mode throw a clear error", () => {
  const connect = async function* () {};
  const subscribe = async function* () {};
  const send = async () => {};
  assert.throws(() => normalizeConnectionAdapter(undefined), /^TypeError: Connection adapter is required$/);
  for (const both of [
    { connect, subscribe, send },
    { connect, send },
    { connect, subscribe },
  ]) {
    assert.throws(() => normalizeConnectionAdapter(both), /either connect or both subscribe and send, not both modes/);
  }
  for (const half of [{ subscribe }, { send }, {}, { connect: "yes" }]) {
    assert.throws(
      () => normalizeConnectionAdapter(/** @type {any} */ (half)),
      /either connect or both subscribe and send$/,
    );
  }
});

test("subscribe and send are used as they are, with their object", async () => {
  class Custom {
    name = "own";
    async *subscribe() {
      yield { type: this.name };
    }
    async send() {
      this.name = "sent";
    }
    async *joinRun() {
      yield { type: `${this.name}-joined` };
    }
    async hydrate() {
      return this.name;
    }
  }
  const connection = normalizeConnectionAdapter(new Custom());
  await connection.send([]);
  assert.deepEqual((await collect(connection.subscribe())).chunks, [{ type: "sent" }]);
  assert.deepEqual((await collect(/** @type {any} */ (connection.joinRun)("r"))).chunks, [{ type: "sent-joined" }]);
  assert.equal(await connection.hydrate?.("t"), "sent");
});

test("joinRun and hydrate are offered only if they are there", () => {
  const plain = normalizeConnectionAdapter({ connect: async function* () {}, joinRun: undefined });
  assert.deepEqual(Object.keys(plain).sort(), ["send", "subscribe"]);
});

test("a run that ends without an end gets RUN_FINISHED, once", async () => {
  const bare = await run(source({ type: "RUN_STARTED", threadId: "up", runId: "stream" }, { type: "X" }));
  assert.deepEqual(
    bare.chunks.map(({ type, threadId, runId }) => [type, threadId, runId]),
    [
      ["RUN_STARTED", "up", "stream"],
      ["X", undefined, undefined],
      ["RUN_FINISHED", "up", "stream"],
    ],
  );
  assert.equal(getChunkRunId(bare.chunks[2]), "r");
  assert.equal(getChunkRunId(bare.chunks[1]), "r");
  assert.deepEqual(
    (await run(source())).chunks.map(({ type, runId }) => [type, runId]),
    [["RUN_FINISHED", "r"]],
  );
  assert.equal((await run(source({ type: "RUN_FINISHED", runId: "r" }))).chunks.length, 1);
  assert.equal((await run(source({ type: "RUN_ERROR", message: "m" }))).chunks.length, 1);
});

test("the end of a turn is not the end of a run whose next turn breaks off", async () => {
  const turn = [
    { type: "RUN_STARTED", runId: "1" },
    { type: "RUN_FINISHED", runId: "1" },
    { type: "RUN_STARTED", runId: "2" },
  ];
  assert.deepEqual((await run(source(...turn))).chunks.at(-1).runId, "2");
});

test("a throw gives RUN_ERROR, once, and is thrown again", async () => {
  const failure = Object.assign(new Error("The agent broke."), { code: "broken" });
  const failed = await run(source({ type: "RUN_STARTED", runId: "r" }, failure));
  assert.equal(failed.error, failure);
  const { type, message, code, runId, threadId } = failed.chunks[1];
  assert.deepEqual([type, message, code, runId, threadId], ["RUN_ERROR", "The agent broke.", "broken", "r", "t"]);
  const told = await run(source({ type: "RUN_ERROR", message: "upstream" }, failure));
  assert.equal(told.error, failure);
  assert.deepEqual(
    told.chunks.map(({ message }) => message),
    ["upstream"],
  );
  const thrown = normalizeConnectionAdapter({
    connect: () => {
      throw failure;
    },
  });
  await assert.rejects(thrown.send([], undefined, undefined, RUN), failure);
});

test("an abort in send() ends that send with AbortError and tells nobody of an end", async () => {
  const connection = normalizeConnectionAdapter({
    async *connect() {
      yield { type: "A" };
      await new Promise(() => {});
    },
  });
  const subscription = new AbortController();
  /** @type {any[]} */
  const seen = [];
  const reading = (async () => {
    for await (const chunk of connection.subscribe(subscription.signal)) seen.push(chunk.type);
  })();
  const controller = watchedController();
  const sending = connection.send([], undefined, controller.signal, RUN);
  await eventually(() => seen.length === 1);
  controller.abort();
  await assert.rejects(sending, { name: "AbortError" });
  assert.equal(controller.listeners, 0);
  subscription.abort();
  await reading;
  assert.deepEqual(seen, ["A"]);
});

test("an abort in subscribe() ends the subscription and leaves no listener", async () => {
  const connection = normalizeConnectionAdapter({ async *connect() {} });
  const controller = watchedController();
  const reading = collect(connection.subscribe(controller.signal));
  await eventually(() => controller.listeners > 0);
  controller.abort();
  assert.deepEqual(await reading, { chunks: [], error: undefined });
  assert.equal(controller.listeners, 0);
  const stopped = collect(connection.subscribe(AbortSignal.abort()));
  assert.deepEqual(await stopped, { chunks: [], error: undefined });
});

test("send() lasts until the subscriber has dealt with everything", async () => {
  const connection = normalizeConnectionAdapter({ connect: () => source({ type: "A" }, { type: "RUN_FINISHED" }) });
  /** @type {string[]} */
  const dealt = [];
  const controller = new AbortController();
  const reading = (async () => {
    for await (const { type } of connection.subscribe(controller.signal)) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      dealt.push(type);
    }
  })();
  await connection.send([], undefined, undefined, RUN);
  assert.deepEqual(dealt, ["A", "RUN_FINISHED"]);
  controller.abort();
  await reading;
});

test("without a subscriber nothing waits, and the next one gets what was left", async () => {
  const connection = normalizeConnectionAdapter({ connect: () => source({ type: "A" }, { type: "RUN_FINISHED" }) });
  await connection.send([], undefined, undefined, RUN);
  const iterator = connection.subscribe()[Symbol.asyncIterator]();
  assert.equal((await iterator.next()).value.type, "A");
  await iterator.return?.();
  const again = connection.subscribe()[Symbol.asyncIterator]();
  assert.equal((await again.next()).value.type, "RUN_FINISHED");
});

test("the latest subscriber takes over; the one before it ends", async () => {
  const connection = normalizeConnectionAdapter({ connect: () => source({ type: "A" }, { type: "RUN_FINISHED" }) });
  const first = collect(connection.subscribe());
  const controller = new AbortController();
  const second = collect(connection.subscribe(controller.signal));
  assert.deepEqual((await first).chunks, []);
  await connection.send([], undefined, undefined, RUN);
  controller.abort();
  assert.equal((await second).chunks.length, 2);
});

test("runs side by side keep their order and their ids", async () => {
  const connection = normalizeConnectionAdapter({
    async *connect(messages) {
      for (const n of [1, 2, 3]) {
        yield { type: "N", of: messages[0], n };
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    },
  });
  const controller = new AbortController();
  const reading = collect(connection.subscribe(controller.signal));
  await Promise.all(
    ["a", "b"].map((runId) => connection.send([runId], undefined, undefined, { threadId: "t", runId })),
  );
  controller.abort();
  const { chunks } = await reading;
  for (const runId of ["a", "b"]) {
    const own = chunks.filter((chunk) => getChunkRunId(chunk) === runId);
    assert.deepEqual(
      own.map(({ type, of, n }) => [type, of, n]),
      [
        ["N", runId, 1],
        ["N", runId, 2],
        ["N", runId, 3],
        ["RUN_FINISHED", undefined, undefined],
      ],
    );
  }
});
