import assert from "node:assert/strict";
import { test } from "node:test";

import { executeTools, toolRequests, withoutToolRequests } from "../../static/js/client-tools.js";

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
