// The client published on npm against the server at STREAMS_URL; test_published_clients.py starts both.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DurableStream,
  IdempotentProducer,
  StaleEpochError,
  stream,
} from "@durable-streams/client";

const JSON_TYPE = "application/json";
let streams = 0;

/** A stream of its own for each test. */
const create = (contentType = JSON_TYPE, options = {}) =>
  DurableStream.create({
    url: `${process.env.STREAMS_URL}/v1/stream/npm/${process.pid}-${++streams}`,
    contentType,
    ...options,
  });

const numbers = (from, to) => Array.from({ length: to - from }, (_, index) => from + index);

/** Everything in a stream up to its tail. */
async function contents(handle, offset) {
  return await (await handle.stream({ live: false, offset })).json();
}

/** The items a live reader is given until there are `count` of them, with the offset after the last. */
async function follow(handle, { live, offset, count }) {
  const response = await handle.stream({ live, offset });
  const items = [];
  const last = await new Promise((resolve, reject) => {
    response.closed.catch(reject);
    response.subscribeJson((batch) => {
      items.push(...batch.items);
      if (items.length >= count) resolve(batch.offset);
    });
  });
  response.cancel();
  return { items, offset: last };
}

test("create, append, read, head, delete", async () => {
  const handle = await create(JSON_TYPE, { ttlSeconds: 60 });
  for (const n of numbers(0, 5)) await handle.append(JSON.stringify({ n }), { seq: `w-${n}` });
  assert.deepEqual(await contents(handle), numbers(0, 5).map((n) => ({ n })));
  const { exists, offset, contentType, streamClosed } = await handle.head();
  assert.deepEqual([exists, contentType, streamClosed], [true, JSON_TYPE, false]);
  assert.deepEqual(await contents(handle, offset), []);
  await assert.rejects(handle.append("1", { seq: "w-0" }), { status: 409 });
  await handle.delete();
  assert.deepEqual(await DurableStream.head({ url: handle.url }), { exists: false });
});

for (const live of ["sse", "long-poll"]) {
  test(`${live} goes on from where catch-up ended`, async () => {
    const handle = await create();
    for (const n of numbers(0, 3)) await handle.append(String(n));
    const first = await follow(handle, { live, count: 3 });
    assert.deepEqual(first.items, [0, 1, 2]);
    const second = follow(handle, { live, offset: first.offset, count: 17 });
    for (const n of numbers(3, 20)) await handle.append(String(n));
    assert.deepEqual((await second).items, numbers(3, 20));
    assert.equal((await second).offset, (await handle.head()).offset);
  });
}

test("a reader sees the close after the last data", async () => {
  const handle = await create();
  const response = await stream({ url: handle.url, live: "sse", offset: "-1" });
  const items = [];
  const closed = new Promise((resolve) => {
    response.subscribeJson((batch) => {
      items.push(...batch.items);
      if (batch.streamClosed) resolve(batch.offset);
    });
  });
  await handle.append("1");
  const { finalOffset } = await handle.close({ body: "2" });
  assert.equal(await closed, finalOffset);
  assert.deepEqual(items, [1, 2]);
  await assert.rejects(handle.append("3"), { status: 409 });
  assert.deepEqual(await handle.close(), { finalOffset });
});

test("a producer that pipelines small batches stores everything once and in order", async () => {
  const handle = await create();
  const errors = [];
  const producer = new IdempotentProducer(handle, "p", {
    lingerMs: 0,
    maxBatchBytes: 64,
    onError: (error) => errors.push(error),
  });
  for (const n of numbers(0, 500)) producer.append(JSON.stringify({ n }));
  await producer.flush();
  assert.ok(producer.nextSeq > 20, `${producer.nextSeq} batches`);
  await producer.close(JSON.stringify({ n: 500 }));
  assert.deepEqual(errors, []);
  assert.deepEqual(await contents(handle), numbers(0, 501).map((n) => ({ n })));
});

test("a producer that starts again claims the next epoch and fences the old one", async () => {
  const handle = await create();
  const failures = [];
  const old = new IdempotentProducer(handle, "p", { onError: (error) => failures.push(error) });
  old.append("0");
  await old.flush();
  const successor = new IdempotentProducer(handle, "p", { epoch: 0, autoClaim: true });
  await successor.restart();
  successor.append("1");
  await successor.flush();
  assert.equal(successor.epoch, 1);
  old.append("2");
  await old.flush().catch((error) => failures.push(error));
  assert.ok(failures.some((error) => error instanceof StaleEpochError), String(failures));
  assert.deepEqual(await contents(handle), [0, 1]);
});

test("text and bytes come back as they were sent", async () => {
  const text = await create("text/plain");
  const said = "line\r\nnext\r\u2028 grüße\n\n";
  await text.append(said);
  assert.equal(await (await text.stream({ live: false })).text(), said);
  const binary = await create("application/octet-stream");
  const bytes = Uint8Array.from(numbers(0, 256));
  await binary.append(bytes);
  const response = await binary.stream({ live: "sse", offset: "-1" });
  const received = await new Promise((resolve, reject) => {
    response.closed.catch(reject);
    response.subscribeBytes((chunk) => {
      if (chunk.data.length) resolve(chunk.data);
    });
  });
  response.cancel();
  assert.deepEqual(received, bytes);
});
