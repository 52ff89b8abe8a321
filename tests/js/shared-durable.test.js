/** One durable connection for several tabs: real Web Locks, real BroadcastChannels, a real server. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { durableStreamConnection } from "../../static/js/connection-adapters.js";
import { serveAgui } from "./support/agui-server.js";
import { closeAll, held, openTabOf } from "./support/tabs.js";
import { eventually, watchTimers } from "./support/waiting.js";
import { seeded } from "./support/world.js";

const server = serveAgui({ word: 2 });
let id = "";
let names = 0;
beforeEach(() => (id = `shared-${process.pid}-${++names}`));

/** @param {any} connection @param {any} [options] */
const openTab = (connection, options) => openTabOf(id, connection, options);

/** @param {any} [options] */
const connect = (options) =>
  durableStreamConnection({
    sendUrl: `${server.url}/api/chat?id=${id}`,
    readUrl: `${server.url}/api/chat-stream?id=${id}`,
    ...options,
  });
const openDurable = (/** @type {any} */ options = undefined, /** @type {any} */ how = undefined) =>
  openTab(connect({ initialOffset: "-1", ...options }), how);

test("three tabs, one reader; each has everything, in order and once", async () => {
  const { log } = server.chat(id);
  log.append({ type: "N", n: 0 });
  const tabs = [1, 2, 3].map(() => openDurable());
  await eventually(() => tabs.every(({ chunks }) => chunks.length === 1));
  for (let n = 1; n < 50; n++) log.append({ type: "N", n });
  await eventually(() => tabs.every(({ chunks }) => chunks.length === 50));
  for (const { chunks } of tabs)
    assert.deepEqual(
      chunks.map(({ n }) => n),
      Array.from({ length: 50 }, (_, n) => n),
    );
  assert.equal(server.open.size, 1);
  assert.equal(await held(id), 1);
  await closeAll(tabs);
  await eventually(() => server.open.size === 0);
  assert.equal(await held(id), 0);
});

test("a tab that comes later reads what it lacks, from its own place", async () => {
  const { log } = server.chat(id);
  for (let n = 0; n < 10; n++) log.append({ type: "N", n });
  const first = openDurable();
  await eventually(() => first.chunks.length === 10);
  const second = openDurable({ initialOffset: server.snapshot(id).offset });
  const third = openDurable({ initialOffset: "0000000000000004" });
  await eventually(() => third.chunks.length === 6);
  log.append({ type: "N", n: 10 });
  await eventually(() => [first, second, third].every(({ chunks }) => chunks.at(-1)?.n === 10));
  assert.deepEqual(
    [first, second, third].map(({ chunks }) => chunks.length),
    [11, 1, 7],
  );
  await closeAll([first, second, third]);
});

test("the leader's tab is closed: the next goes on without a gap, and so on to the last", async () => {
  const { log } = server.chat(id);
  const tabs = [1, 2, 3, 4].map(() => openDurable());
  let n = 0;
  const writing = setInterval(() => log.append({ type: "N", n: n++ }), 1);
  while (tabs.length > 1) {
    const before = n;
    await eventually(() => n > before + 20);
    await tabs.shift()?.close();
  }
  const [last] = tabs;
  const before = n;
  await eventually(() => n > before + 20);
  clearInterval(writing);
  await eventually(() => last.chunks.length === n);
  assert.deepEqual(
    last.chunks.map(({ n }) => n),
    Array.from({ length: n }, (_, each) => each),
  );
  await last.close();
});

test("any coming and going, and connections cut in between: every tab has a whole stretch of the log", async (context) => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  context.diagnostic(`seed ${seed}`);
  const random = seeded(seed);
  const { log } = server.chat(id);
  /** @type {{tab: ReturnType<typeof openTabOf>, from: number}[]} */
  const open = [];
  const check = (/** @type {typeof open[number]} */ { tab, from }) => {
    const seen = tab.chunks.map(({ n }) => n);
    assert.deepEqual(
      seen,
      Array.from({ length: seen.length }, (_, index) => from + index),
      `seed ${seed}`,
    );
  };
  let n = 0;
  for (let step = 0; step < 120; step++) {
    const what = random();
    if (what < 0.2 && open.length < 6) {
      const from = Math.floor(random() * (n + 1));
      open.push({ from, tab: openDurable({ initialOffset: from === 0 ? "-1" : String(from).padStart(16, "0") }) });
    } else if (what < 0.3 && open.length > 0) {
      const [left] = open.splice(Math.floor(random() * open.length), 1);
      await left.tab.close();
      check(left);
    } else if (what < 0.33) server.cut();
    else log.append({ type: "N", n: n++ });
    if (random() < 0.5) await new Promise((resolve) => setTimeout(resolve, random() * 5));
  }
  if (n === 0 || open.length === 0) return;
  await eventually(
    () => open.every(({ tab, from }) => tab.chunks.length === n - from),
    `seed ${seed}: everybody gets to ${n}`,
  );
  open.forEach(check);
  await closeAll(open.map(({ tab }) => tab));
});

test("each tab posts by itself, and all hear the answer", async () => {
  const tabs = [1, 2].map(() => openTab(connect()));
  await eventually(() => tabs.every(({ chunks }) => chunks.length === 1));
  await tabs[1].send("r", "Hello");
  await eventually(() => tabs.every((tab) => tab.ended("r")));
  for (const { text } of tabs) assert.equal(text, "Echo: Hello");
  await closeAll(tabs);
});

test("what the leader knows of the connection, the others are told", async () => {
  const connections = [connect({ initialOffset: "-1" }), connect({ initialOffset: "-1" })];
  /** @type {string[][]} */
  const heard = [[], []];
  connections.forEach((connection, index) => connection.onStatus(({ state }) => heard[index].push(state)));
  const tabs = [openTab(connections[0])];
  await eventually(() => heard[0].at(-1) === "live");
  tabs.push(openTab(connections[1]));
  await eventually(() => heard[1].at(-1) === "live");
  server.refuse = () => ({ status: 503 });
  server.cut();
  await eventually(() => heard.every((states) => states.at(-1) === "reconnecting"));
  server.refuse = () => undefined;
  connections.forEach((connection) => connection.retryNow());
  await eventually(() => heard.every((states) => states.at(-1) === "live"));
  await closeAll(tabs);
});

test("a frozen leader is replaced, and goes on as a follower when it wakes", async () => {
  let frozen = false;
  /** A frozen tab hears nothing and says nothing; its lock stays. */
  class Freezing extends BroadcastChannel {
    /** @override @param {any} message */
    postMessage(message) {
      if (!frozen) super.postMessage(message);
    }
    /** @override */
    set onmessage(/** @type {any} */ listener) {
      super.onmessage = (/** @type {any} */ event) => frozen || listener(event);
    }
  }
  const { log } = server.chat(id);
  const leader = openDurable(undefined, { Channel: Freezing, ping: 3_600_000 });
  await eventually(async () => (await held(id)) === 1);
  const other = openDurable();
  log.append({ type: "N", n: 0 });
  await eventually(() => other.chunks.length === 1);
  frozen = true;
  server.cut();
  server.refuse = () => ({ status: 503 }); // not even its connection comes back
  await eventually(() => server.open.size === 0);
  server.refuse = () => undefined;
  log.append({ type: "N", n: 1 });
  await eventually(() => other.chunks.length === 2, "the other has taken over");
  frozen = false;
  log.append({ type: "N", n: 2 });
  await eventually(() => leader.chunks.length === 3 && other.chunks.length === 3);
  assert.deepEqual(leader.chunks, other.chunks);
  assert.equal(await held(id), 1);
  await closeAll([leader, other]);
});

test("an abort leaves no lock, no timer, no listener and no channel", async () => {
  const timers = watchTimers();
  const tabs = [1, 2, 3].map(() => openDurable());
  await eventually(async () => (await held(id)) === 1);
  await closeAll(tabs);
  assert.deepEqual([timers.pending, ...tabs.map(({ controller }) => controller.listeners)], [0, 0, 0, 0]);
  await eventually(async () => {
    const { held = [], pending = [] } = await navigator.locks.query();
    return ![...held, ...pending].some(({ name }) => name === id);
  });
  timers.restore();
});
