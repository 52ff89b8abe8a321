/** The cases of `tests/unit/chat/test_branches.py`. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Branches, inEffect } from "../../static/js/branches.js";

const lines = readFileSync(new URL("../golden/branches/cases.jsonl", import.meta.url), "utf8").trim().split("\n");

for (const { name, messages, choices, path, tip } of lines.map((line) => JSON.parse(line))) {
  test(name, () => {
    const branches = new Branches(messages);
    assert.deepEqual(branches.path(choices).map(({ id }) => id), path);
    assert.equal(branches.tip(choices) ?? null, tip);
    for (const message of messages) assert.ok(branches.path(branches.choicesOf(message.id)).includes(message));
  });
}

test("a choice counts until something else is pinned", () => {
  const chosen = { one: { version: "a" }, two: { version: "b", pin: "c" }, three: { version: "d", pin: null } };
  assert.deepEqual(inEffect(chosen, {}), { one: "a", three: "d" });
  assert.deepEqual(inEffect(chosen, { two: "c", one: "z" }), { one: "z", two: "b", three: "d" });
});
