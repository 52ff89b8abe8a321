import assert from "node:assert/strict";
import { test } from "node:test";

import { answersTo, executeTools, toolRequests, withoutToolRequests } from "../../static/js/client-tools.js";

const tool = (/** @type {string} */ id, reason = "client_tool_input") => ({
  id: `${id}-input`,
  reason,
  toolCallId: id,
  metadata: {
    kind: reason === "client_tool_input" ? "client_tool" : "approval",
    toolName: "clock",
    input: { zone: "UTC" },
  },
});
const paused = (/** @type {any[]} */ ...interrupts) => ({
  type: "RUN_FINISHED",
  runId: "r",
  outcome: { type: "interrupt", interrupts },
});

test("what a run asks its sender to execute", () => {
  assert.deepEqual(toolRequests(paused(tool("a"), tool("b", "approval_required"))), [
    { interruptId: "a-input", toolCallId: "a", toolName: "clock", input: { zone: "UTC" } },
  ]);
  for (const other of [
    { type: "RUN_FINISHED" },
    { type: "RUN_FINISHED", outcome: { type: "interrupt" } },
    { type: "X" },
  ]) {
    assert.deepEqual(toolRequests(other), []);
  }
});

test("others see the pause without the request; approvals are everybody's", () => {
  assert.deepEqual(withoutToolRequests(paused(tool("a"))), { type: "RUN_FINISHED", runId: "r" });
  const approval = tool("b", "approval_required");
  assert.deepEqual(withoutToolRequests(paused(tool("a"), approval)), paused(approval));
  const untouched = paused(approval);
  assert.equal(withoutToolRequests(untouched), untouched);
  assert.equal(withoutToolRequests({ type: "CUSTOM", name: "tool-input-available", value: {} }), undefined);
  assert.deepEqual(withoutToolRequests({ type: "CUSTOM", name: "x" }), { type: "CUSTOM", name: "x" });
});

test("every request is answered: by a result, by nothing, or by an error", async () => {
  /** @type {any[]} */
  const called = [];
  const request = (/** @type {string} */ toolName) => ({
    interruptId: `${toolName}-i`,
    toolCallId: "t",
    toolName,
    input: { n: 1 },
  });
  const resume = await executeTools(["add", "quiet", "broken", "unknown", "declared"].map(request), [
    { name: "add", execute: async (...args) => (called.push(args), 2) },
    { name: "quiet", execute: () => undefined },
    { name: "broken", execute: () => Promise.reject(new Error("No network.")) },
    { name: "declared" },
  ]);
  assert.deepEqual(called, [[{ n: 1 }, { toolCallId: "t" }]]);
  assert.deepEqual(
    resume.map(({ interruptId, status, payload }) => [interruptId, status, payload]),
    [
      ["add-i", "resolved", 2],
      ["quiet-i", "resolved", null],
      ["broken-i", "resolved", { error: "No network." }],
      ["unknown-i", "resolved", { error: "There is no tool unknown here." }],
      ["declared-i", "resolved", { error: "There is no tool declared here." }],
    ],
  );
});

test("of a pause the tools are answered if nothing newer is there, by a run whose id follows", async () => {
  const tools = [{ name: "clock", execute: () => "noon" }];
  const wanted = { id: "i", reason: "client_tool_input", toolCallId: "t", metadata: { toolName: "clock" } };
  const approval = { id: "a", reason: "tool_call", toolCallId: "t" };
  /** @param {string} runId @param {any[]} interrupts @param {string} [supersededBy] */
  const answer = (runId, interrupts, supersededBy) =>
    answersTo({ runId, status: "awaiting-approval", interrupts, supersededBy }, tools);
  const resume = [{ interruptId: "i", status: "resolved", payload: "noon" }];
  assert.deepEqual(await answer("r", [wanted]), { runId: "r.2", parentRunId: "r", resume, again: true });
  assert.equal((await answer("r.2", [wanted]))?.runId, "r.3");
  assert.equal((await answer("a.b.9", [wanted]))?.runId, "a.b.10");
  assert.deepEqual((await answer("r", [wanted, approval]))?.resume, resume, "what else it asks is for others");
  assert.equal(await answer("r", [approval]), undefined);
  assert.equal(await answer("r", []), undefined);
  assert.equal(await answer("r", [wanted], "r.2"), undefined);
});
