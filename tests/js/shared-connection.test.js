/** One connection for several tabs: real Web Locks, real BroadcastChannels, a real server. */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { durableStreamConnection, fetchServerSentEvents, HttpError, sharedConnection, stream, webSocket } from "../../static/js/connection-adapters.js";
import { startAguiServer } from "./support/agui-server.js";
import { eventually, textOf, userMessage, watchedController, watchTimers } from "./support/waiting.js";
import { seeded } from "./support/world.js";

/** @type {Awaited<ReturnType<typeof startAguiServer>>} */
let server;
let id = "";
let names = 0;
before(async () => (server = await startAguiServer({ word: 2 })));
after(() => server.close());
beforeEach(() => {
  id = `shared-${process.pid}-${++names}`;
  server.requests.length = server.streams.length = server.frames.length = 0;
  server.fate = () => undefined;
  server.refuse = () => undefined;
});

const held = async () => ((await navigator.locks.query()).held ?? []).filter(({ name }) => name === id).length;

/** @param {any} connection @param {any} [options] */
function openTab(connection, options) {
  const shared = sharedConnection(connection, { name: id, ping: 20, ...options });
  const controller = watchedController();
  const tab = {
    shared,
    controller,
    chunks: /** @type {any[]} */ ([]),
    error: /** @type {any} */ (undefined),
    done: /** @type {Promise<void>} */ (Promise.resolve()),
    get text() {
      return textOf(tab.chunks);
    },
    /** @param {string} runId */
    ended: (runId) => tab.chunks.some(({ type, runId: of }) => of === runId && (type === "RUN_FINISHED" || type === "RUN_ERROR")),
    /** @param {string} runId @param {string} text @param {AbortSignal} [signal] */
    send: (runId, text, signal) => shared.send([userMessage(text, `u-${runId}`)], undefined, signal, { threadId: id, runId }),
    /** As when it is closed. */
    async close() {
      controller.abort();
      await tab.done;
    },
  };
  tab.done = (async () => {
    try {
      for await (const chunk of shared.subscribe(controller.signal)) tab.chunks.push(chunk);
    } catch (error) {
      tab.error = error;
    }
  })();
  return tab;
}

/** @param {ReturnType<typeof openTab>[]} tabs */
const closeAll = (tabs) => Promise.all(tabs.map((tab) => tab.close()));

describe("a durable connection", () => {
  /** @param {any} [options] */
  const connect = (options) => durableStreamConnection({ sendUrl: `${server.url}/api/chat?id=${id}`, readUrl: `${server.url}/api/chat-stream?id=${id}`, ...options });
  const openDurable = (/** @type {any} */ options = undefined, /** @type {any} */ how = undefined) => openTab(connect({ initialOffset: "-1", ...options }), how);

  test("three tabs, one reader; each has everything, in order and once", async () => {
    const { log } = server.chat(id);
    log.append({ type: "N", n: 0 });
    const tabs = [1, 2, 3].map(() => openDurable());
    await eventually(() => tabs.every(({ chunks }) => chunks.length === 1));
    for (let n = 1; n < 50; n++) log.append({ type: "N", n });
    await eventually(() => tabs.every(({ chunks }) => chunks.length === 50));
    for (const { chunks } of tabs) assert.deepEqual(chunks.map(({ n }) => n), Array.from({ length: 50 }, (_, n) => n));
    assert.equal(server.open.size, 1);
    assert.equal(await held(), 1);
    await closeAll(tabs);
    await eventually(() => server.open.size === 0);
    assert.equal(await held(), 0);
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
    assert.deepEqual([first, second, third].map(({ chunks }) => chunks.length), [11, 1, 7]);
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
    assert.deepEqual(last.chunks.map(({ n }) => n), Array.from({ length: n }, (_, each) => each));
    await last.close();
  });

  test("any coming and going, and connections cut in between: every tab has a whole stretch of the log", async (context) => {
    const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
    context.diagnostic(`seed ${seed}`);
    const random = seeded(seed);
    const { log } = server.chat(id);
    /** @type {{tab: ReturnType<typeof openTab>, from: number}[]} */
    const open = [];
    const check = (/** @type {typeof open[number]} */ { tab, from }) => {
      const seen = tab.chunks.map(({ n }) => n);
      assert.deepEqual(seen, Array.from({ length: seen.length }, (_, index) => from + index), `seed ${seed}`);
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
    await eventually(() => open.every(({ tab, from }) => tab.chunks.length === n - from), `seed ${seed}: everybody gets to ${n}`);
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
    const tabs = connections.map((connection) => openTab(connection));
    await eventually(() => heard.every((states) => states.at(-1) === "live"));
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
    await eventually(async () => (await held()) === 1);
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
    assert.equal(await held(), 1);
    await closeAll([leader, other]);
  });

  test("an abort leaves no lock, no timer, no listener and no channel", async () => {
    const timers = watchTimers();
    const tabs = [1, 2, 3].map(() => openDurable());
    await eventually(async () => (await held()) === 1);
    await closeAll(tabs);
    assert.deepEqual([timers.pending, ...tabs.map(({ controller }) => controller.listeners)], [0, 0, 0, 0]);
    await eventually(async () => {
      const { held = [], pending = [] } = await navigator.locks.query();
      return ![...held, ...pending].some(({ name }) => name === id);
    });
    timers.restore();
  });
});

for (const [name, connect] of Object.entries({
  fetchServerSentEvents: () => fetchServerSentEvents(`${server.url}/api/chat/sse?id=${id}`, { reconnect: { delayMs: 1 } }),
  webSocket: () => webSocket(`${server.url}/api/chat/ws?id=${id}`, { reconnect: { delayMs: 1 } }),
})) {
  const questions = name === "webSocket" ? 0 : 3; // chunks: a session tells the question itself
  describe(name, () => {
    const open = () => openTab(connect());

    test("one connection; who sends and who leads may differ, all hear all", async () => {
      const tabs = [open(), open(), open()];
      await eventually(async () => (await held()) === 1);
      await Promise.all([tabs[0].send("r0", "Zero"), tabs[2].send("r2", "Two")]);
      await eventually(() => tabs.every((tab) => tab.ended("r0") && tab.ended("r2")));
      for (const { chunks } of tabs) {
        for (const [runId, text] of [["r0", "Echo: Zero"], ["r2", "Echo: Two"]]) assert.equal(textOf(chunks.filter(({ messageId }) => messageId === `${runId}-m`)), text);
      }
      const connections = server.requests.filter(({ method }) => method === "WS" || method === "POST").length;
      assert.equal(connections, name === "webSocket" ? 1 : 2);
      if (questions) {
        const asked = tabs.map(({ chunks }) => chunks.filter(({ type, role }) => type === "TEXT_MESSAGE_START" && role === "user").map(({ messageId }) => messageId));
        assert.deepEqual(asked, [["u-r2"], ["u-r0", "u-r2"].filter((each) => asked[1].includes(each)), ["u-r0"]]);
        assert.equal(asked[1].length, 2);
      }
      await closeAll(tabs);
    });

    test("a tab that comes in the middle of a run has it from the beginning", async () => {
      const first = open();
      void first.send("r", "/long 5000").catch(() => {});
      await eventually(() => first.chunks.length > 10);
      const second = open();
      await eventually(() => second.chunks.length > 20);
      const own = second.chunks.slice(questions);
      assert.deepEqual(own, first.chunks.slice(0, own.length));
      assert.equal(second.chunks.length - own.length, questions);
      await closeAll([first, second]);
    });

    test("the tab that ran it is closed: the run goes on, nothing is missing or twice, and its sender is answered", async () => {
      const tabs = [open(), open(), open()];
      await eventually(async () => (await held()) === 1);
      const sent = tabs[1].send("r", "/long 200");
      await eventually(() => tabs[2].chunks.length > 20);
      await tabs[0].close();
      await sent;
      await eventually(() => tabs[1].ended("r") && tabs[2].ended("r"));
      for (const { text } of tabs.slice(1)) assert.deepEqual(text.split(" "), Array.from({ length: 200 }, (_, n) => `word${n}`));
      await tabs[2].send("next", "Hello");
      await eventually(() => tabs[1].ended("next"));
      await closeAll(tabs.slice(1));
    });

    test("an abort ends that send only, whichever tab it is in", async () => {
      const tabs = [open(), open()];
      await eventually(async () => (await held()) === 1);
      const controller = watchedController();
      const [stopped, kept] = [tabs[1].send("stopped", "/long 5000", controller.signal), tabs[0].send("kept", "/long 60")];
      await eventually(() => tabs[1].chunks.some(({ messageId }) => messageId === "stopped-m"));
      controller.abort();
      // Over a WebSocket send() has long been done.
      if (name === "webSocket") await stopped;
      else await assert.rejects(stopped, { name: "AbortError" });
      await kept;
      await eventually(() => tabs.every((tab) => tab.ended("kept")));
      if (name === "webSocket") await eventually(() => tabs.every((tab) => tab.ended("stopped")));
      assert.equal(controller.listeners, 0);
      await closeAll(tabs);
      await eventually(() => server.open.size === 0);
    });
  });
}

test("a tab that leaves with a run under way stops nothing", async () => {
  const connect = () => webSocket(`${server.url}/api/chat/ws?id=${id}`);
  const tabs = [openTab(connect()), openTab(connect())];
  await eventually(async () => (await held()) === 1);
  for (const leaver of [1, 0]) {
    const controller = watchedController();
    await tabs[leaver].send(`r${leaver}`, "/long 100", controller.signal);
    await eventually(() => tabs[leaver].chunks.some(({ messageId }) => messageId === `r${leaver}-m`));
    // As ChatClient.unsubscribe() does it.
    controller.abort();
    await tabs[leaver].close();
    assert.equal(controller.listeners, 0);
    await eventually(() => server.chats.get(id)?.runs.get(`r${leaver}`)?.over);
  }
  assert.ok(server.frames.every(({ type }) => type !== "abort"));
  assert.ok(tabs[0].ended("r1"));
});

test("what a send is refused with is thrown in the tab that sent", async () => {
  const connect = () => fetchServerSentEvents(`${server.url}/api/chat/sse?id=${id}`);
  const tabs = [openTab(connect()), openTab(connect())];
  await eventually(async () => (await held()) === 1);
  server.refuse = () => ({ status: 429, body: '{"error":"Too many messages.","code":"rate-limited"}' });
  for (const tab of tabs) {
    const error = await tab.send("r", "x").then(() => assert.fail(), (reason) => reason);
    assert.deepEqual([error.name, error.message, error.code, error.status], ["HttpError", "Too many messages.", "rate-limited", 429]);
  }
  await closeAll(tabs);
});

test("a run that cannot be joined is lost with its tab, and everybody is told", async () => {
  const connect = () =>
    stream(async function* () {
      yield { type: "RUN_STARTED", runId: "r", threadId: "t" };
      await new Promise(() => {});
    });
  const tabs = [openTab(connect()), openTab(connect()), openTab(connect())];
  await eventually(async () => (await held()) === 1);
  const sent = tabs[1].send("r", "x");
  await eventually(() => tabs[2].chunks.length > 3);
  await tabs[0].close();
  await sent;
  await eventually(() => tabs[1].ended("r") && tabs[2].ended("r"));
  for (const { chunks } of tabs.slice(1)) {
    assert.deepEqual(chunks.filter(({ type }) => type === "RUN_ERROR").map(({ message }) => message), ["The tab that this ran in was closed."]);
  }
  await closeAll(tabs.slice(1));
});

test("a subscription that fails, fails everywhere", async () => {
  const connect = () => ({
    async *subscribe() {
      yield { type: "A" };
      throw new HttpError("The session is over.", { status: 410 });
    },
    send: async () => {},
  });
  const first = openTab(connect());
  const second = openTab(connect());
  await Promise.all([first.done, second.done]);
  for (const { error } of [first, second]) assert.equal(error?.message, "The session is over.");
});

test("without Web Locks or BroadcastChannel each tab has its own", async () => {
  for (const missing of ["locks", "Channel"]) {
    const connect = () => fetchServerSentEvents(`${server.url}/api/chat/sse?id=${id}`);
    const tabs = [1, 2].map(() => {
      const property = missing === "locks" ? Object.getOwnPropertyDescriptor(globalThis, "navigator") : undefined;
      const channel = globalThis.BroadcastChannel;
      if (property) Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true });
      // @ts-expect-error: as on an old browser
      else globalThis.BroadcastChannel = undefined;
      try {
        return openTab(connect());
      } finally {
        if (property) Object.defineProperty(globalThis, "navigator", property);
        globalThis.BroadcastChannel = channel;
      }
    });
    await Promise.all(tabs.map((tab, n) => tab.send(`${missing}-${n}`, "Hello")));
    for (const [n, tab] of tabs.entries()) {
      await eventually(() => tab.ended(`${missing}-${n}`));
      assert.equal(tab.text, "Echo: Hello");
    }
    await closeAll(tabs);
  }
});
