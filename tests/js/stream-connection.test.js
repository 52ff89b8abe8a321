import assert from "node:assert/strict";
import { test } from "node:test";

import { rpcStream, stream } from "../../static/js/connection-adapters.js";
import { collect, eventually, watchedController } from "./support/waiting.js";

for (const adapter of [stream, rpcStream]) {
  test(`${adapter.name}: the function's chunks, with all it needs to know`, async () => {
    /** @type {any[]} */
    const called = [];
    const { signal } = new AbortController();
    const connection = adapter(async function* (...args) {
      called.push(args);
      yield { type: "A" };
      yield { type: "B" };
    });
    const { chunks } = await collect(connection.connect(["m"], { d: 1 }, signal, { runId: "r" }));
    assert.deepEqual(
      chunks.map(({ type }) => type),
      ["A", "B"],
    );
    assert.deepEqual(called, [[["m"], { d: 1 }, signal, { runId: "r" }]]);
  });

  test(`${adapter.name}: a promise of chunks is as good, as a server function gives it`, async () => {
    const connection = adapter(async () =>
      (async function* () {
        yield { type: "A" };
      })(),
    );
    assert.equal((await collect(connection.connect([]))).chunks.length, 1);
  });

  test(`${adapter.name}: what it throws is thrown`, async () => {
    for (const factory of [
      () => {
        throw new Error("No.");
      },
      async () => {
        throw new Error("No.");
      },
      async function* () {
        throw new Error("No.");
      },
    ]) {
      assert.equal((await collect(adapter(/** @type {any} */ (factory)).connect([]))).error?.message, "No.");
    }
  });

  test(`${adapter.name}: an abort ends it, whether the function cares or not, and closes its generator`, async () => {
    let closed = 0;
    let release = () => {};
    const careless = adapter(async function* () {
      try {
        yield { type: "A" };
        await new Promise((resolve) => (release = () => resolve(undefined)));
      } finally {
        closed += 1;
      }
    });
    const deaf = adapter(() => new Promise(() => {}));
    for (const connection of [careless, deaf]) {
      const controller = watchedController();
      const reading = collect(connection.connect([], undefined, controller.signal));
      await eventually(() => controller.listeners === 1);
      controller.abort();
      assert.equal((await reading).error?.name, "AbortError");
      assert.equal(controller.listeners, 0);
    }
    release();
    await eventually(() => closed === 1);
  });

  test(`${adapter.name}: who stops reading closes the generator`, async () => {
    let closed = false;
    const connection = adapter(async function* () {
      try {
        for (;;) yield { type: "A" };
      } finally {
        closed = true;
      }
    });
    for await (const _ of connection.connect([])) break;
    await eventually(() => closed);
  });

  test(`${adapter.name}: offers what it is given, and nothing else`, () => {
    const joinRun = async function* () {};
    const hydrate = async () => ({});
    const connection = adapter(async function* () {}, { joinRun, hydrate: undefined });
    assert.deepEqual(Object.keys(connection), ["connect", "joinRun"]);
    assert.equal(connection.joinRun, joinRun);
    assert.equal(adapter(async function* () {}, { hydrate }).hydrate, hydrate);
  });
}
