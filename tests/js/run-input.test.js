import assert from "node:assert/strict";
import { test } from "node:test";

import { chatParamsFromRequestBody, uiMessagesToWire } from "@tanstack/ai";

import { createRunInput, toWireMessages } from "../../static/js/run-input.js";

/** @param {any} value */
const copy = (value) => JSON.parse(JSON.stringify(value));

const image = { type: "image", source: { type: "url", value: "https://example.org/a.png" } };

/** @type {any[]} */
const CONVERSATION = [
  { id: "s", role: "system", parts: [{ type: "text", content: "Be brief." }] },
  { id: "u1", role: "user", name: "Ana", parts: [{ type: "text", content: "Hi" }], metadata: { participantId: "p" } },
  {
    id: "a1",
    role: "assistant",
    name: "Demo",
    parts: [
      { type: "thinking", content: "Hm.", stepId: "th", signature: "sig" },
      { type: "text", content: "Let me " },
      {
        type: "tool-call",
        id: "t1",
        name: "clock",
        arguments: '{"z":1}',
        state: "complete",
        metadata: { thoughtSignature: "ts" },
      },
      { type: "tool-result", toolCallId: "t1", content: "12:00", state: "complete" },
      { type: "tool-call", id: "t2", name: "roll", arguments: "{}", state: "complete", output: { n: 6 } },
      { type: "text", content: "see." },
    ],
  },
  {
    id: "a2",
    role: "assistant",
    parts: [
      {
        type: "tool-call",
        id: "t3",
        name: "rm",
        arguments: "{}",
        state: "approval-responded",
        approval: { id: "i", needsApproval: true, approved: false },
      },
      {
        type: "tool-call",
        id: "t4",
        name: "cp",
        arguments: "{}",
        state: "approval-responded",
        approval: { id: "j", needsApproval: true, approved: true },
      },
      {
        type: "tool-call",
        id: "t5",
        name: "mv",
        arguments: "{}",
        state: "approval-requested",
        approval: { id: "k", needsApproval: true },
      },
    ],
  },
  {
    id: "a3",
    role: "assistant",
    parts: [{ type: "structured-output", status: "complete", raw: '{"n":1}', data: { n: 1 } }],
  },
  { id: "u2", role: "user", parts: [{ type: "text", content: "Look" }, image] },
];

/** What the published client sends has more in `metadata`, and ids of its own for thoughts. @param {any[]} messages */
const comparable = (messages) =>
  copy(messages).map((/** @type {any} */ { metadata, ...message }) => ({
    ...message,
    id: message.role === "reasoning" ? "*" : message.id,
  }));

test("messages are those the published client sends", () => {
  assert.deepEqual(comparable(CONVERSATION.flatMap(toWireMessages)), comparable(uiMessagesToWire(CONVERSATION)));
});

test("what a message is known by stays: its id, its name, its metadata", () => {
  const [message] = toWireMessages(CONVERSATION[1]);
  assert.deepEqual(copy(message), {
    id: "u1",
    role: "user",
    name: "Ana",
    content: "Hi",
    metadata: { participantId: "p" },
  });
});

test("model messages are taken too", () => {
  const calls = [{ id: "t", type: "function", function: { name: "f", arguments: "{}" } }];
  const messages = [
    { role: "user", content: "Hi" },
    { role: "user", content: [{ type: "text", content: "Look" }, image] },
    { role: "assistant", content: null, toolCalls: calls },
    { role: "tool", toolCallId: "t", content: "1" },
  ].flatMap(toWireMessages);
  assert.deepEqual(
    messages.map(({ content }) => content),
    ["Hi", [{ type: "text", text: "Look" }, image], "", "1"],
  );
  assert.deepEqual(messages[2].toolCalls, calls);
  for (const { id } of messages) assert.match(id, /^[0-9a-f]{32}$/);
});

test("the published server takes it", async () => {
  const run = {
    threadId: "t",
    runId: "r",
    parentRunId: "p",
    resume: [{ interruptId: "i", status: "resolved", payload: 1 }],
    clientTools: [{ name: "n", description: "d", parameters: {} }],
  };
  const params = await chatParamsFromRequestBody(copy(createRunInput(CONVERSATION, { a: 1 }, run)));
  assert.deepEqual(
    [params.threadId, params.runId, params.parentRunId, params.resume, params.tools, params.forwardedProps],
    ["t", "r", "p", run.resume, run.clientTools, { a: 1 }],
  );
  await chatParamsFromRequestBody(copy(createRunInput([{ role: "user", content: "x" }])));
});
