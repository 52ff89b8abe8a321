/** The runs of one connection for several tabs: real Web Locks, real BroadcastChannels, a real server. */

import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";

import { fetchServerSentEvents, HttpError, stream, webSocket } from "../../static/js/connection-adapters.js";
import { serveAgui } from "./support/agui-server.js";
import { closeAll, held, openTabOf } from "./support/tabs.js";
import { eventually, textOf, watchedController } from "./support/waiting.js";

const server = serveAgui({ word: 2 });
let id = "";
let names = 0;
beforeEach(() => (id = `shared-${process.pid}-${++names}`));

/** @param {any} connection @param {any} [options] */
const openTab = (connection, options) => openTabOf(id, connection, options);

for (const [name, connect] of Object.entries({
  fetchServerSentEvents: () =>
    fetchServerSentEvents(`${server.url}/api/chat/sse?id=${id}`, { reconnect: { delayMs: 1 } }),
  webSocket: () => webSocket(`${server.url}/api/chat/ws?id=${id}`, { reconnect: { delayMs: 1 } }),
})) {
  const questions = name === "webSocket" ? 0 : 3; // chunks: a session tells the question itself
  describe(name, () => {
    const open = () => openTab(connect());

    test("one connection; who sends and who leads may differ, all hear all", async () => {
      const tabs = [open(), open(), open()];
      await eventually(async () => (await held(id)) === 1);
      await Promise.all([tabs[0].send("r0", "Zero"), tabs[2].send("r2", "Two")]);
      await eventually(() => tabs.every((tab) => tab.ended("r0") && tab.ended("r2")));
      for (const { chunks } of tabs) {
        for (const [runId, text] of [
          ["r0", "Echo: Zero"],
          ["r2", "Echo: Two"],
        ])
          assert.equal(textOf(chunks.filter(({ messageId }) => messageId === `${runId}-m`)), text);
      }
      const connections = server.requests.filter(({ method }) => method === "WS" || method === "POST").length;
      assert.equal(connections, name === "webSocket" ? 1 : 2);
      if (questions) {
        const asked = tabs.map(({ chunks }) =>
          chunks
            .filter(({ type, role }) => type === "TEXT_MESSAGE_START" && role === "user")
            .map(({ messageId }) => messageId),
        );
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
      await eventually(async () => (await held(id)) === 1);
      const sent = tabs[1].send("r", "/long 200");
      await eventually(() => tabs[2].chunks.length > 20);
      await tabs[0].close();
      await sent;
      await eventually(() => tabs[1].ended("r") && tabs[2].ended("r"));
      for (const { text } of tabs.slice(1))
        assert.deepEqual(
          text.split(" "),
          Array.from({ length: 200 }, (_, n) => `word${n}`),
        );
      await tabs[2].send("next", "Hello");
      await eventually(() => tabs[1].ended("next"));
      await closeAll(tabs.slice(1));
    });

    test("an abort ends that send only, whichever tab it is in", async () => {
      const tabs = [open(), open()];
      await eventually(async () => (await held(id)) === 1);
      const controller = watchedController();
      const [stopped, kept] = [
        tabs[1].send("stopped", "/long 5000", controller.signal),
        tabs[0].send("kept", "/long 60"),
      ];
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
  await eventually(async () => (await held(id)) === 1);
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
  await eventually(async () => (await held(id)) === 1);
  server.refuse = () => ({ status: 429, body: '{"error":"Too many messages.","code":"rate-limited"}' });
  for (const tab of tabs) {
    const error = await tab.send("r", "x").then(
      () => assert.fail(),
      (reason) => reason,
    );
    assert.deepEqual(
      [error.name, error.message, error.code, error.status],
      ["HttpError", "Too many messages.", "rate-limited", 429],
    );
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
  await eventually(async () => (await held(id)) === 1);
  const sent = tabs[1].send("r", "x");
  await eventually(() => tabs[2].chunks.length > 3);
  await tabs[0].close();
  await sent;
  await eventually(() => tabs[1].ended("r") && tabs[2].ended("r"));
  for (const { chunks } of tabs.slice(1)) {
    assert.deepEqual(
      chunks.filter(({ type }) => type === "RUN_ERROR").map(({ message }) => message),
      ["The tab that this ran in was closed."],
    );
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
