import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { matching, queryIn, SCRIPTED } from "../../../static/js/page/command-menu.js";

test("a command stands alone at the beginning", () => {
  assert.equal(queryIn("/"), "");
  assert.equal(queryIn("/lo"), "lo");
  for (const text of ["", "a /lo", " /lo", "/lo ng", "/lo\n", "//", "/1"]) assert.equal(queryIn(text), undefined, text);
});

test("commands are found by their beginning", () => {
  const found = (/** @type {string} */ query) => matching(SCRIPTED, query).map(({ text }) => text);
  assert.deepEqual(found("t"), ["/tool", "/think"]);
  assert.deepEqual(found("LO"), ["/long 400"]);
  assert.equal(found("").length, SCRIPTED.length);
  assert.deepEqual(found("x"), []);
});

test("the demo understands them all, and no others", async () => {
  const source = await readFile(new URL("../../../webapp/agents/scripted_texts.py", import.meta.url), "utf8");
  const commands = source.slice(source.indexOf("COMMANDS:"), source.indexOf("_SENTENCES"));
  assert.deepEqual([...commands.matchAll(/\("(\/[a-z]+(?: \d+)?)",/g)].map(([, name]) => name), SCRIPTED.map(([name]) => name));
});
