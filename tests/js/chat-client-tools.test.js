/** Tools of a client: run in the tab that asked, once, and its turn goes on with the result. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { materialize } from "../../static/js/chat-reducer.js";
import { asked, openClient, say, told } from "./support/chat-client.js";
import { answer, finished, started } from "./support/chat-server.js";
import { offsetOf } from "./support/stream-server.js";

/** @param {string} runId */
const paused = (runId) => {
  const interrupt = { id: `${runId}-input`, reason: "client_tool_input", toolCallId: "call", metadata: { kind: "client_tool", toolName: "clock", input: { zone: "UTC" } } };
  return [
    { type: "TOOL_CALL_START", toolCallId: "call", toolCallName: "clock", runId },
    { type: "TOOL_CALL_END", toolCallId: "call", runId },
    { type: "RUN_FINISHED", runId, outcome: { type: "interrupt", interrupts: [interrupt] } },
  ];
};

/** @param {any[]} executed @param {string} who */
const clockOf = (executed, who) => ({
  name: "clock",
  description: "tells the time",
  execute: async (/** @type {any} */ input) => (executed.push([who, input]), "noon"),
});

test("a tool runs in the tab that asked and in no other, and the turn goes on with its result", async () => {
  /** @type {any[]} */
  const executed = [];
  const { chat, client, done, runId } = await asked({ more: { tools: [clockOf(executed, "mine")] } });
  const other = openClient({ beside: chat, more: { tools: [clockOf(executed, "other")] } });
  await other.live();
  assert.deepEqual(chat.server.posts[0].tools, [{ name: "clock", description: "tells the time" }]);
  await say(chat, started(runId, "id-1"), ...paused(runId));
  assert.deepEqual([executed, client.status, client.sessionGenerating], [[["mine", { zone: "UTC" }]], "submitted", false]);
  assert.equal(chat.server.posts.length, 2);
  const { resume, parentRunId, runId: next, messages } = chat.server.posts[1];
  assert.deepEqual(resume, [{ interruptId: `${runId}-input`, status: "resolved", payload: "noon" }]);
  assert.deepEqual([parentRunId, messages[0].id], [runId, "id-1"]);
  await say(chat, started(next, "id-1"), ...answer(next, "It is noon."), ...finished(next));
  await done;
  assert.deepEqual([client.status, chat.texts.at(-1), other.texts.at(-1)], ["ready", "It is noon.", "It is noon."]);
  assert.ok(!told(chat, "status").some(({ status }, n, all) => status === "ready" && n < all.length - 1));
  client.close();
  other.client.close();
});

test("a tab that is loaded again still has its turn, and runs the tool; another tab does not", async () => {
  /** @type {any[]} */
  const executed = [];
  const tab = {};
  const { chat, client, runId } = await asked({ more: { tab } });
  await say(chat, started(runId, "id-1"));
  client.close();
  /** @param {string} who @param {any} more */
  const load = (who, more) => {
    const events = chat.server.stream.items;
    const loaded = { beside: chat, snapshot: materialize(events), initialOffset: offsetOf(chat.server.stream.log.length) };
    return openClient({ ...loaded, more: { tools: [clockOf(executed, who)], ids: () => `${who}-id`, ...more } });
  };
  const [again, other] = [load("again", { tab }), load("other", { tab: {} })];
  assert.deepEqual([again.client.status, other.client.status], ["streaming", "ready"]);
  await again.live();
  await other.live();
  again.client.close(); // before the tool could be asked for
  await say(chat, ...paused(runId));
  assert.deepEqual(executed, []);
  const third = load("third", { tab });
  await third.live();
  await chat.world.settle();
  assert.deepEqual(executed, [["third", { zone: "UTC" }]]);
  const { resume, parentRunId, runId: next } = chat.server.posts.at(-1);
  assert.deepEqual([resume[0].payload, parentRunId, next], ["noon", runId, `${runId}.2`]);
  await say(chat, started(next, "id-1"), ...finished(next));
  await load("fourth", { tab }).live();
  await chat.world.settle();
  assert.equal(executed.length, 1);
});

test("a turn that was stopped while its tool ran does not go on; one that waits for a person is over", async () => {
  let finish = () => {};
  const slow = { name: "clock", execute: () => new Promise((resolve) => (finish = () => resolve("noon"))) };
  const { chat, client, done, runId } = await asked({ more: { tools: [slow] } });
  await say(chat, started(runId, "id-1"), ...paused(runId));
  await client.stop();
  finish();
  await done;
  await chat.world.settle();
  assert.equal(chat.server.posts.filter(({ resume }) => resume).length, 0);
  void client.sendMessage("/approve");
  await chat.world.settle();
  const next = chat.server.posts.at(-1).runId;
  const approval = { id: "a", reason: "tool_call", toolCallId: "call" };
  await say(chat, started(next, "id-3"), { type: "RUN_FINISHED", runId: next, outcome: { type: "interrupt", interrupts: [approval] } });
  assert.deepEqual([client.status, client.runs[next].status], ["ready", "awaiting-approval"]);
  client.close();
});
