import assert from "node:assert/strict";
import { test } from "node:test";

import { Branches } from "../../../static/js/branches.js";
import { matching, queryIn } from "../../../static/js/page/mention-menu.js";
import { company } from "../../../static/js/page/room.js";
import { noteText, slots } from "../../../static/js/page/rows.js";

test("what stands behind an @ may be the beginning of a name", () => {
  /** @type {[string, string | undefined][]} */
  const cases = [
    ["@", ""],
    ["@De", "De"],
    ["hello @Critic T", "Critic T"],
    ["(@z", "z"],
    ["**@", ""],
    ["two\n@a", "a"],
    ["@a @b", "b"],
    ["ana@dem", undefined],
    ["é@dem", undefined],
    ["site.org/@dem", undefined],
    ["@@d", undefined],
    ["@demo\n", undefined],
    ["hello", undefined],
    ["", undefined],
    [`@${"a".repeat(41)}`, undefined],
  ];
  for (const [text, query] of cases) assert.equal(queryIn(text), query, text);
});

/** @type {any[]} */
const agents = [
  { id: "demo", name: "Demo", hue: 1, present: true },
  { id: "critic-2", name: "Second Critic", hue: 2, present: false },
  { id: "echo", name: "Echo", hue: 3, present: true },
];
/** @type {any} */
const client = {
  roster: { "critic-2": true, echo: false },
  messages: [
    { role: "user", name: "Ana", metadata: { participantId: "p-ana" } },
    { role: "user", name: "Dora", metadata: { participantId: "p-ben" } },
    { role: "assistant", name: "Demo", metadata: { agentId: "demo" } },
    { role: "user", name: "Ben", metadata: { participantId: "p-ben" } },
    { role: "user", name: "Nobody" },
  ],
};
/** @type {any} */
const eve = { participantId: "p-eve", name: "Eve", hue: 5 };
/** @type {{people: any[]}} */
const here = { people: [] };
const room = { client, agents, me: { id: "p-ana", name: "Ana" }, here, say: () => {} };

test("the agents that are here come first, then other people by their latest names", () => {
  assert.deepEqual(
    company(room).map(({ name, kind }) => [name, kind]),
    [
      ["Demo", "agent"],
      ["Second Critic", "agent"],
      ["Ben", "person"],
    ],
  );
});

test("whoever is here can be named before they have said anything, by the name they have now", () => {
  const people = [eve, { participantId: "p-ben", name: "Benno", hue: 1 }, { participantId: "p-ana", name: "Ana", hue: 1 }];
  const named = company({ ...room, here: { people } }).filter(({ kind }) => kind === "person");
  assert.deepEqual(named.map(({ name, hue }) => [name, hue]), [["Benno", 1], ["Eve", 5]]);
});

test("names are found by the beginning of any word, agents by their ids too", () => {
  const found = (/** @type {string} */ query) => matching(company(room), query).map(({ name }) => name);
  assert.deepEqual(found(""), ["Demo", "Second Critic", "Ben"]);
  assert.deepEqual(found("DE"), ["Demo"]);
  assert.deepEqual(found("cri"), ["Second Critic"]);
  assert.deepEqual(found("critic-"), ["Second Critic"]);
  assert.deepEqual(found("second c"), ["Second Critic"]);
  assert.deepEqual(found("p-b"), []);
  assert.deepEqual(found("x"), []);
});

test("notes stand behind their message and after its silent runs, and end a group", () => {
  const note = (/** @type {string} */ id, /** @type {string} */ after) => ({ id, after, kind: "agent.joined", name: "Critic", by: "Ana" });
  const person = (/** @type {string} */ id) => ({ id, role: "user", parts: [], metadata: { participantId: "p", createdAt: 1 } });
  const messages = [person("a"), person("b"), person("c")];
  const rows = slots({
    messages,
    branches: new Branches(messages),
    pins: {},
    runs: { r: { runId: "r", triggerId: "b", messageIds: [] } },
    activeRuns: [],
    notes: [note("n0", ""), note("n1", "b"), note("n2", "gone")],
  });
  assert.deepEqual(
    rows.map(({ key, grouped }) => [key, grouped]),
    [
      ["n0", false],
      ["a", false],
      ["b", true],
      ["run:r", false],
      ["n1", false],
      ["c", false],
    ],
  );
});

test("the words of notes", () => {
  assert.equal(noteText({ kind: "agent.joined", name: "Critic", by: "Ana" }), "Ana let Critic in");
  assert.equal(noteText({ kind: "agent.left", name: "", by: "" }), "Somebody sent an agent away");
  const waiting = (/** @type {string[]} */ ...agents) => noteText({ kind: "chat.waiting-for-person", agents, turns: 6 });
  assert.equal(waiting("Critic", "Demo"), "Critic and Demo have talked 6 times. Waiting for a person.");
  assert.equal(waiting("A", "B", "C"), "A, B and C have talked 6 times. Waiting for a person.");
  assert.equal(waiting("A"), "Waiting for a person.");
});
