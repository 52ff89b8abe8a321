import assert from "node:assert/strict";
import { test } from "node:test";

import { answer, start } from "./support/reader.js";
import { createStreamServer, offsetOf, openBody } from "./support/stream-server.js";
import { createWorld, seeded } from "./support/world.js";

/** A log that has every trap: line ends in all styles, two data events for one control, wide characters. */
function trickySession() {
  const server = createStreamServer({ pageSize: 2 });
  let style = 0;
  server.frame = (/** @type {any[]} */ items) => {
    const end = ["\n", "\r\n", "\r"][style++ % 3];
    const [first, ...others] = items.map((item) => JSON.stringify(item));
    const second = others.length > 0 ? `event: data${end}data: [${end}data: ${others.join(`,${end}data: `)}${end}data: ]${end}${end}` : "";
    return `: ping${end}${end}event: data${end}data:[${first}]${end}${end}${second}`;
  };
  return server;
}
const LOG = [[{ t: "é漢😀" }, { t: "\u2028\u0085" }], [{ t: "a\r\nb" }], [{ t: 1 }, { t: 2 }, { t: 3 }], [{ t: "\ufeff" }], [{ t: "end" }]];

/** Runs a whole session in which the first SSE reply is spoilt. @param {import("./support/stream-server.js").Spoil} spoil */
async function resumed(spoil, world = createWorld({ random: () => 0 })) {
  const server = trickySession();
  let spoilt = false;
  server.hook = ({ live }) => {
    if (live !== "sse" || spoilt) return undefined;
    spoilt = true;
    // What comes while the reader is between its first read and SSE has to come over SSE.
    for (const batch of LOG) server.append(...batch);
    return spoil;
  };
  const reader = start(server, { world });
  await world.until(() => spoilt);
  server.close();
  await world.until(() => reader.over);
  assert.deepEqual(reader.items, LOG.flat());
  return reader;
}

test("cut at every byte of a session, by an error or by an end: resumes exactly", async () => {
  let length = 0;
  await resumed({ bytes: (bytes) => ((length = Math.max(length, bytes.length)), [bytes]), end: "cut" });
  assert.ok(length > 400);
  for (const end of /** @type {const} */ (["cut", "end"])) {
    for (let at = 0; at <= length; at++) await resumed({ bytes: (bytes) => [bytes.slice(0, at)], end });
  }
});

test("split at every byte of a session: nothing is lost or doubled", async () => {
  let length = 0;
  await resumed({ bytes: (bytes) => ((length = Math.max(length, bytes.length)), [bytes]), end: "cut" });
  for (let at = 0; at <= length; at++) {
    await resumed({ bytes: (bytes) => [bytes.slice(0, at), bytes.slice(at)], end: "cut" });
  }
  await resumed({ bytes: (bytes) => Array.from(bytes, (byte) => Uint8Array.of(byte)), end: "cut" });
});

test("a network that fails at random while batches flow: the concatenation equals the log", async (context) => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  context.diagnostic(`seed ${seed}`);
  const random = seeded(seed);
  for (let round = 0; round < 10; round++) {
    const world = createWorld({ random });
    const server = createStreamServer({ pageSize: 2 });
    server.hook = ({ live }) => {
      const dice = random();
      if (dice < 0.15) return "refuse";
      if (dice < 0.25) return answer("", 503);
      if (dice < 0.3) return "hang";
      if (live !== "sse" || dice < 0.5) return undefined;
      const keep = random();
      return { bytes: (bytes) => [bytes.slice(0, Math.floor(bytes.length * keep))], end: random() < 0.5 ? "cut" : "end" };
    };
    const reader = start(server, { world });
    for (let n = 0; n < 30; n++) {
      server.append(...Array.from({ length: 1 + Math.floor(random() * 3) }, (_, i) => `${n}.${i}`));
      if (random() < 0.2) for (const body of server.bodies) body.cut();
      if (random() < 0.1) world.fire("online");
      await world.advance(random() * 3_000);
    }
    server.hook = () => undefined;
    server.close();
    await world.until(() => reader.over);
    assert.deepEqual(reader.items, server.items, `seed ${seed}, round ${round}`);
    assert.deepEqual([world.timers, world.listening], [0, 0]);
  }
});

test("a connection that is cut while it goes well is asked for again soon, and no more often than it lived", async () => {
  const world = createWorld({ random: () => 0 });
  const server = createStreamServer();
  server.hook = ({ live }) => {
    if (live) world.env.setTimeout(() => server.bodies.at(-1)?.cut(), 1_000);
    return undefined;
  };
  const reader = start(server, { world });
  await world.advance(60_000);
  const count = server.requests.length;
  assert.ok(count > 110 && count <= 122, `${count} requests in a minute`);
  reader.stop();
});

test("a page that never comes to its end is asked for less and less often, however long it takes", async () => {
  const world = createWorld();
  const server = createStreamServer();
  server.hook = ({ signal }) => {
    const body = openBody(signal);
    body.write("[");
    world.env.setTimeout(body.cut, 2_000);
    return new Response(body.stream, { headers: { "Stream-Next-Offset": offsetOf(1) } });
  };
  const reader = start(server, { world });
  await world.advance(60_000);
  assert.ok(server.requests.length < 9, `${server.requests.length} requests in a minute`);
  reader.stop();
});

test("an SSE reply whose headers were cut off is a failure, and SSE is tried again", async () => {
  const server = createStreamServer();
  server.hook = ({ live }) => {
    if (!live) return undefined;
    server.hook = () => undefined;
    return new Response(null, { status: 200 });
  };
  const reader = start(server);
  await reader.live();
  assert.deepEqual(reader.asked, ["read -1", "sse 0", "read 0", "sse 0"]);
  reader.stop();
});

test("a reply whose headers were cut off is no page: nothing is skipped", async () => {
  const server = createStreamServer();
  for (const item of ["a", "b"]) server.append(item);
  const cut = new Response("", { headers: { "Stream-Next-Offset": offsetOf(2), "Content-Type": "application/json" } });
  server.hook = () => {
    server.hook = () => undefined;
    return cut;
  };
  const reader = start(server);
  await reader.live();
  assert.deepEqual(reader.items, ["a", "b"]);
  reader.stop();
});
