/** The chat client's turns: whose run is whose, what waits, what is stopped, and what is shown. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { materialize } from "../../static/js/chat-reducer.js";
import { asked, openClient, say, told } from "./support/chat-client.js";
import { answer, echo, finished, ME, started } from "./support/chat-server.js";
import { offsetOf } from "./support/stream-server.js";
import { seeded } from "./support/world.js";

/** @typedef {ReturnType<typeof openClient>} Chat */

/** @param {string} runId @param {string} [message] */
const failed = (runId, message = "It broke.") => ({ type: "RUN_ERROR", runId, message, code: "agent-failed" });

/** @param {Promise<unknown>} promise */
const isSettled = (promise) => Promise.race([promise.then(() => true), new Promise((resolve) => setImmediate(resolve, false))]);

/** @param {Chat} chat */
const stops = ({ server }) => server.posts.filter(({ path }) => path.endsWith("/stop")).map(({ runId }) => runId);

test("a turn is submitted, streaming and ready, and its promise lasts as long", async () => {
  const { chat, client, done, runId } = await asked();
  assert.deepEqual([client.status, client.isLoading, client.sessionGenerating], ["submitted", true, false]);
  await say(chat, started(runId, "id-1"), ...answer(runId, "Hel"));
  assert.deepEqual([client.status, client.isLoading, client.sessionGenerating], ["streaming", true, true]);
  assert.equal(await isSettled(done), false);
  await say(chat, ...answer(runId, "lo").slice(1), ...finished(runId));
  assert.deepEqual([client.status, client.isLoading, client.sessionGenerating], ["ready", false, false]);
  await done;
  assert.deepEqual(chat.texts, ["Hi", "Hello"]);
  assert.deepEqual(
    told(chat, "status").map(({ status, sessionGenerating }) => [status, sessionGenerating]),
    [
      ["submitted", false],
      ["streaming", true],
      ["ready", false],
    ],
  );
  assert.deepEqual(
    told(chat, "finish").map(({ runId, message }) => [runId, message.id]),
    [[runId, `m-${runId}`]],
  );
  client.close();
});

test("somebody else's run neither begins nor ends nor fails a turn of mine", async () => {
  const { chat, client, done, runId } = await asked();
  const theirs = [echo({ id: "u2", parts: [{ content: "And me?" }] }), started("theirs", "u2"), answer("theirs", "You")].flat();
  await say(chat, ...theirs);
  assert.deepEqual([client.status, client.sessionGenerating], ["submitted", true]);
  await say(chat, started(runId, "id-1"), ...answer(runId, "Well"));
  await say(chat, failed("theirs"));
  assert.deepEqual([client.status, client.error, await isSettled(done)], ["streaming", undefined, false]);
  await say(chat, ...finished(runId));
  assert.deepEqual([client.status, await isSettled(done)], ["ready", true]);
  assert.deepEqual(told(chat, "error"), []);
  client.close();
});

test("who joins in the middle of somebody's run sees it generating, with no turn of their own", async () => {
  const history = [[...echo({ id: "u1", parts: [{ content: "Hi" }] }), started("r1", "u1"), ...answer("r1", "Hel")]];
  const chat = openClient({ events: history, snapshot: materialize(history[0]), initialOffset: offsetOf(1) });
  const state = () => [chat.client.status, chat.client.isLoading, chat.client.sessionGenerating];
  assert.deepEqual(state(), ["ready", false, true]);
  await chat.live();
  await say(chat, ...finished("r1"));
  assert.deepEqual(state(), ["ready", false, false]);
  assert.deepEqual(
    told(chat, "status").map(({ sessionGenerating }) => sessionGenerating),
    [false],
  );
  chat.client.close();
});

test("my run's failure is my error until I ask again; an error of no run is everybody's", async () => {
  const { chat, client, done, runId } = await asked();
  await say(chat, started(runId, "id-1"), failed(runId));
  await done;
  assert.deepEqual([client.status, client.error?.message, client.isLoading], ["error", "It broke.", false]);
  assert.equal(/** @type {any} */ (client.error).code, "agent-failed");
  const again = client.sendMessage("Again");
  assert.deepEqual([client.status, client.error], ["submitted", undefined]);
  await say(chat, { type: "RUN_ERROR", message: "All is lost." });
  await again;
  assert.deepEqual([client.status, client.error?.message], ["error", "All is lost."]);
  client.close();
});

test("what cannot be sent is my error, and being sent again it is my turn again", async () => {
  const chat = openClient({ onPost: () => Response.json({ error: "Too large." }, { status: 413 }) });
  await chat.live();
  await chat.client.sendMessage("Hi");
  assert.deepEqual([chat.client.status, chat.client.error?.message], ["error", "Too large."]);
  chat.server.onPost = undefined;
  chat.client.retrySend("id-1");
  assert.equal(chat.client.status, "submitted");
  await chat.world.settle();
  await say(chat, started("id-2", "id-1"), ...answer("id-2", "Yes"), ...finished("id-2"));
  assert.deepEqual([chat.client.status, chat.texts], ["ready", ["Hi", "Yes"]]);
  chat.client.close();
});

test("stop ends my turns at once and stops their runs, and nobody else's", async () => {
  const { chat, client, done, runId } = await asked();
  await say(chat, started(runId, "id-1"), started("theirs", "u2"));
  const second = client.sendMessage("Two");
  chat.server.onPost = (body) => (body.messages ? undefined : Response.json({ stopped: body.runId === runId }, { status: 202 }));
  const stopped = client.stop();
  assert.deepEqual([client.status, client.sessionGenerating], ["ready", true]);
  await Promise.all([done, second]);
  assert.equal(await stopped, true);
  assert.deepEqual(stops(chat), [runId, "id-4"]);
  // It had not been there to be stopped, and now it is.
  await say(chat, started("id-4", "id-3"));
  assert.deepEqual(stops(chat), [runId, "id-4", "id-4"]);
  assert.equal(client.status, "ready");
  await client.stop("theirs");
  await client.stopAll();
  assert.deepEqual(stops(chat).slice(3), ["theirs", undefined]);
  client.close();
});

test("reload asks again for the same message, and its earlier answer is gone for good", async () => {
  const { chat, client, runId } = await asked();
  await say(chat, started(runId, "id-1"), ...answer(runId, "Old", " and"), started("theirs", "u0"), ...answer("theirs", "Theirs"));
  const done = client.reload();
  await chat.world.settle();
  const { messages, runId: next } = chat.server.posts.at(-1);
  assert.deepEqual([messages[0].id, next === runId, stops(chat)], ["id-1", false, [runId]]);
  assert.equal(client.status, "submitted");
  await say(chat, ...answer(runId, " still here").slice(1), ...finished(runId));
  await say(chat, started(next, "id-1"), ...answer(next, "New"), ...finished(next));
  await done;
  assert.equal(client.status, "ready");
  assert.deepEqual(
    client.messages.map(({ id, role }) => [id, role]),
    [
      ["id-1", "user"],
      [`m-${next}`, "assistant"],
    ],
  );
  client.close();
});

test("reload of what is on its way sends nothing twice", async () => {
  const chat = openClient({ onPost: () => new Promise(() => {}) });
  await chat.live();
  void chat.client.sendMessage("Hi");
  await chat.world.settle();
  void chat.client.reload();
  await chat.world.settle();
  assert.deepEqual([chat.server.posts.length, chat.texts, chat.client.status], [1, ["Hi"], "submitted"]);
  chat.client.close();
});

test("a turn whose message was taken back while it waited is over", async () => {
  const { chat, client, done, runId } = await asked();
  assert.equal(client.status, "submitted");
  await say(chat, { type: "CUSTOM", name: "message.dropped", value: { messageId: "id-1", runIds: [runId], name: "Ben" } });
  assert.equal(await isSettled(done), true);
  assert.equal(client.status, "ready");
  assert.deepEqual(chat.texts, []);
  client.close();
});

test("while a turn is under way a message is sent, queued, dropped, or interrupts it", async () => {
  const { chat, client, done, runId } = await asked({ more: { whenBusy: "queue" } });
  await client.sendMessage("queued");
  await client.sendMessage("taken back");
  await client.sendMessage("dropped", undefined, { whenBusy: "drop" });
  assert.deepEqual(
    client.queue.map(({ content }) => content.content),
    ["queued", "taken back"],
  );
  client.cancelQueued(client.queue[1].id);
  assert.equal(chat.texts.length, 1);
  void client.sendMessage("at once", { tone: "dry" }, { whenBusy: "send" });
  await chat.world.settle();
  const at = chat.server.posts.at(-1);
  assert.deepEqual([at.messages[0].parts[0].content, at.data], ["at once", { tone: "dry" }]);
  await say(chat, started(runId, "id-1"), ...finished(runId));
  await done;
  assert.equal(client.queue.length, 1); // the other turn is not over
  await say(chat, started(at.runId, at.messages[0].id), ...finished(at.runId));
  assert.deepEqual(client.queue, []);
  await chat.world.settle();
  const next = chat.server.posts.at(-1);
  assert.deepEqual([next.messages[0].parts[0].content, client.status], ["queued", "submitted"]);
  await say(chat, started(next.runId, next.messages[0].id));
  void client.sendMessage("interrupts", undefined, { whenBusy: "interrupt" });
  await chat.world.settle();
  assert.deepEqual(stops(chat), [next.runId]);
  assert.equal(client.status, "submitted");
  assert.deepEqual(
    told(chat, "queue").map(({ queue }) => queue.length),
    [1, 2, 1, 0],
  );
  client.close();
});

test("a queue does not outlive a failure or a stop", async () => {
  for (const end of [(/** @type {Chat} */ { client }) => void client.stop(), (/** @type {Chat} */ chat) => say(chat, failed("id-2"))]) {
    const { chat, client } = await asked({ more: { whenBusy: "queue" } });
    await client.sendMessage("later");
    await end(chat);
    await chat.world.settle();
    assert.deepEqual(client.queue, []);
    assert.equal(chat.server.posts.filter(({ messages }) => messages).length, 1);
    client.close();
  }
});

test("clear empties what is shown, for good; the session goes on", async () => {
  const { chat, client, done, runId } = await asked();
  await say(chat, started(runId, "id-1"), ...answer(runId, "One"), started("theirs", "u0"), ...answer("theirs", "Two"));
  client.clear();
  await done;
  assert.deepEqual([chat.texts, client.status, client.sessionGenerating], [[], "ready", true]);
  await say(chat, ...answer(runId, "more").slice(1), failed(runId), ...answer("theirs", "more").slice(1), ...finished("theirs"));
  assert.deepEqual([chat.texts, client.status, client.sessionGenerating], [[], "ready", false]);
  void client.sendMessage("New");
  await chat.world.settle();
  assert.deepEqual(chat.texts, ["New"]);
  client.close();
});

test("a message that is cleared on its way does not come back", async () => {
  let reply = () => {};
  const chat = openClient({
    onPost: (/** @type {any} */ body) =>
      body.messages && new Promise((resolve) => (reply = () => resolve(undefined))),
  });
  await chat.live();
  void chat.client.sendMessage("Hi");
  await chat.world.settle();
  chat.client.clear();
  reply();
  await chat.world.settle();
  assert.deepEqual([chat.texts, chat.client.status], [[], "ready"]);
  chat.client.close();
});

test("setMessages shows others; the stream goes on from there", async () => {
  const { chat, client, runId } = await asked();
  await say(chat, started(runId, "id-1"), ...answer(runId, "Hel"));
  client.setMessages([{ id: "x", role: "user", parts: [{ type: "text", content: "Shown" }] }, ...client.messages.slice(1)]);
  assert.deepEqual(chat.texts, ["Shown", "Hel"]);
  await say(chat, ...answer(runId, "lo").slice(1), ...finished(runId));
  assert.deepEqual([chat.texts, client.status], [["Shown", "Hello"], "ready"]);
  client.close();
});

test("append sends a person's message as it is, and no other", async () => {
  const chat = openClient();
  await chat.live();
  const image = { type: "image", source: { type: "url", value: "https://example.test/x.png" } };
  void chat.client.append({ id: "mine", role: "user", parts: [{ type: "text", content: "Look" }, image] });
  void chat.client.append({ role: "user", content: "And this" });
  await chat.client.append({ role: "system", content: "Be nice." });
  await assert.rejects(chat.client.append({ role: "assistant", content: "I said so." }), TypeError);
  await chat.client.sendMessage("  ");
  await chat.world.settle();
  assert.deepEqual(
    chat.server.posts.map(({ messages: [{ id, parts }] }) => [id, parts.length]),
    [
      ["mine", 2],
      ["id-2", 1],
    ],
  );
  chat.client.close();
});

test("however two people's runs are interleaved, a turn is as its own chunks say", async (t) => {
  const seed = Number(process.env.TEST_SEED ?? Date.now() % 2 ** 31);
  t.diagnostic(`seed ${seed}`);
  const random = seeded(seed);
  const pick = (/** @type {number} */ n) => Math.floor(random() * n);
  for (let round = 0; round < 60; round++) {
    const { chat, client, done, runId } = await asked();
    const other = openClient({ beside: chat, more: { me: { id: "p-ben", name: "Ben" }, ids: (() => ((n) => () => `ben-${++n}`)(0))() } });
    await other.live();
    const theirs = other.client.sendMessage("And me?");
    await chat.world.settle();
    const ids = [runId, chat.server.posts.at(-1).runId];
    const ends = ids.map(() => ["finished", "failed", "cancelled"][pick(3)]);
    const lanes = ids.map((id, n) => {
      const end = { finished: finished(id), failed: [failed(id)], cancelled: [{ type: "RUN_FINISHED", runId: id, outcome: { type: "cancelled" } }] }[ends[n]];
      return [started(id, ["id-1", "ben-1"][n]), ...answer(id, ...["a", "b", "c"].slice(pick(4))), .../** @type {any[]} */ (end)];
    });
    const seen = [0, 0];
    const expected = (/** @type {number} */ n) =>
      seen[n] === 0 ? "submitted" : seen[n] < lanes[n].length ? "streaming" : ends[n] === "failed" ? "error" : "ready";
    while (lanes.some((lane, n) => seen[n] < lane.length)) {
      const batch = [];
      for (let size = 1 + pick(4); size > 0; size--) {
        const open = [0, 1].filter((n) => seen[n] < lanes[n].length);
        if (!open.length) break;
        const n = open[pick(open.length)];
        batch.push(lanes[n][seen[n]++]);
      }
      await say(chat, ...batch);
      const active = [0, 1].some((n) => seen[n] > 0 && seen[n] < lanes[n].length);
      for (const [n, each] of [client, other.client].entries()) {
        assert.deepEqual([each.status, each.sessionGenerating], [expected(n), active], `seed ${seed}, round ${round}`);
      }
    }
    await Promise.all([done, theirs]);
    assert.deepEqual(client.messages, other.client.messages);
    client.close();
    other.client.close();
  }
});

test("nothing is left of a closed client, and who waits is let go", async () => {
  const { chat, client, done } = await asked();
  client.close();
  await done;
  await chat.world.settle();
  assert.equal(chat.world.listening, 0);
  assert.equal(ME.id, "p-ana");
});
