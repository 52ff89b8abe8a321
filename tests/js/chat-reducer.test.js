import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { createReducer, materialize } from "../../static/js/chat-reducer.js";
import { hue } from "../../static/js/page/rows.js";
import { parsePartial, parseWhole } from "../../static/js/partial-json.js";
import { own, recorded } from "./support/recorded.js";

const ours = Object.values(own).flat();

/** `<auto>` stands for any id. @param {any} actual @param {any} expected @returns {any} */
function named(actual, expected) {
  if (expected === "<auto>" && typeof actual === "string") return expected;
  if (Array.isArray(actual)) return actual.map((each, i) => named(each, expected?.[i]));
  if (typeof actual !== "object" || actual === null) return actual;
  return Object.fromEntries(Object.entries(actual).map(([key, value]) => [key, named(value, expected?.[key])]));
}

/** @param {any} value */
const copy = (value) => JSON.parse(JSON.stringify(value));

/** @param {number} seed */
function random(seed) {
  let state = seed >>> 0;
  return (/** @type {number} */ below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Any JSON, biased to what events are made of. @param {(below: number) => number} pick @param {number} depth @returns {any} */
function anything(pick, depth = 0) {
  const ids = ["a", "b", "auto~1", "__proto__", "constructor", "", "interrupt", "user", "assistant", "tool", '{"a":'];
  const keys = `type runId messageId toolCallId parentMessageId delta content input name value metadata outcome type
    interrupts id messages role parts toolCalls function arguments object approval part agentId triggerId __proto__
    tanstack subtype entityId encryptedValue stepName`.split(/\s+/);
  const kinds = `RUN_STARTED RUN_FINISHED RUN_ERROR TEXT_MESSAGE_START TEXT_MESSAGE_CONTENT TEXT_MESSAGE_END
    TOOL_CALL_START TOOL_CALL_ARGS TOOL_CALL_END TOOL_CALL_RESULT REASONING_MESSAGE_CONTENT STEP_STARTED
    REASONING_ENCRYPTED_VALUE MESSAGES_SNAPSHOT CUSTOM`.split(/\s+/);
  const names = ["run.stopped-by", "run.stop-requested", "message.part", "structured-output.start", "structured-output.complete", "ui-resource", "approval.decided", "agent.joined", "agent.left", "chat.waiting-for-person"];
  const scalars = [null, true, 0, -1.5, "", ...ids, ...kinds, ...names, "tool-call", "structured-output"];
  if (depth > 3 || (depth > 0 && pick(3) > 0)) return scalars[pick(scalars.length)];
  if (pick(4) === 0) return Array.from({ length: pick(4) }, () => anything(pick, depth + 1));
  const object = Object.fromEntries(
    Array.from({ length: pick(12) }, () => [keys[pick(keys.length)], anything(pick, depth + 1)]),
  );
  if (depth === 0) object.type = kinds[pick(kinds.length)];
  return object;
}

for (const { name, events, finalize, messages } of recorded) {
  test(`recorded: ${name}`, () => {
    const result = copy(materialize(events, { final: finalize }).messages);
    assert.deepEqual(named(result, messages), messages);
  });
}

describe("our streams", () => {
  for (const { name, events, finalize, ...expected } of ours) {
    test(name, () => {
      const before = copy(events);
      const result = copy(materialize(events, { final: finalize }));
      assert.deepEqual(result, { ...result, ...expected });
      assert.deepEqual(copy(events), before, "events are left as they were");
    });
  }

  test("a snapshot continues at every split", () => {
    for (const { name, events, finalize } of [...recorded, ...ours]) {
      const whole = materialize(events, { final: finalize });
      for (let split = 0; split <= events.length; split++) {
        const reducer = createReducer(copy(materialize(events.slice(0, split))));
        for (const event of events.slice(split)) reducer.apply(event);
        if (finalize) reducer.finalize();
        assert.deepEqual(copy(reducer.snapshot()), copy(whole), `${name} at ${split}`);
      }
    }
  });
});

test("any JSON is taken, and what changed is named", () => {
  const base = Number(process.env.SEED ?? Date.now() % 1e6);
  for (let seed = base; seed < base + 100; seed++) {
    const pick = random(seed);
    const reducer = createReducer();
    for (let i = 0; i < 30; i++) {
      const event = anything(pick);
      const before = reducer.snapshot();
      assert.doesNotThrow(() => apply(reducer, event, before), `SEED=${seed} event ${i}: ${JSON.stringify(event)}`);
    }
  }
});

/** Apply the event and check that everything that changed is named. @param {any} reducer @param {any} event @param {any} before */
function apply(reducer, event, before) {
  const { messages, runs } = reducer.apply(event);
  const after = reducer.snapshot();
  assert.deepEqual(changed(byId(before.messages), byId(after.messages)).filter((id) => !messages.has(id)), []);
  assert.deepEqual(changed(before.runs, after.runs).filter((id) => !runs.has(id)), []);
}

/** @param {any[]} messages */
const byId = (messages) => Object.fromEntries(messages.map((message) => [message.id, message]));

/** @param {Record<string, any>} before @param {Record<string, any>} after */
const changed = (before, after) =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (id) => JSON.stringify(before[id]) !== JSON.stringify(after[id]),
  );

describe("what an event touched", () => {
  /** @param {any[]} events @returns {[string[], string[]][]} */
  function touched(events) {
    const reducer = createReducer();
    return events.map((event) => {
      const { messages, runs } = reducer.apply(event);
      return [[...messages], [...runs]];
    });
  }

  for (const { name, events } of ours) {
    test(name, () => {
      const reducer = createReducer();
      for (const event of events) apply(reducer, event, reducer.snapshot());
    });
  }

  test("a batch shares one", () => {
    const reducer = createReducer();
    const into = { messages: new Set(), runs: new Set() };
    reducer.apply({ type: "RUN_STARTED", runId: "r" }, into);
    assert.equal(reducer.apply({ type: "TEXT_MESSAGE_START", messageId: "m" }, into), into);
    assert.deepEqual([[...into.messages], [...into.runs]], [["m"], ["r"]]);
  });

  test("a delta touches its message only", () => {
    const started = { type: "TEXT_MESSAGE_START", messageId: "m" };
    const delta = { type: "TEXT_MESSAGE_CONTENT", messageId: "m", delta: "x" };
    assert.deepEqual(touched([{ type: "RUN_STARTED", runId: "r" }, started, delta])[2], [["m"], []]);
  });
});

test("a snapshot is a copy, messages are alive", () => {
  const reducer = createReducer();
  const delta = { type: "TEXT_MESSAGE_CONTENT", messageId: "m", delta: "x" };
  reducer.apply(delta);
  const { messages } = reducer;
  const snapshot = reducer.snapshot();
  reducer.apply(delta);
  assert.equal(messages[0].parts[0].content, "xx");
  assert.equal(reducer.message("m")?.parts[0].content, "xx");
  assert.equal(snapshot.messages[0].parts[0].content, "x");
  assert.equal(reducer.message("n"), undefined);
});

describe("partial JSON", () => {
  const whole = { a: [1, -2.5e3, true, null, { b: 'é😀 "\\\n' }], "": {}, c: [[]] };

  for (const text of [JSON.stringify(whole), JSON.stringify(whole, null, 2), String.raw`["\ud83d\ude00\u00e9\/"]`]) {
    test(`prefixes of ${text.slice(0, 20)}`, () => {
      assert.deepEqual(parseWhole(text), JSON.parse(text));
      for (let cut = 0; cut < text.length; cut++) {
        const part = parsePartial(text.slice(0, cut));
        assert.equal(parseWhole(text.slice(0, cut)), undefined);
        assert.ok(begins(part, JSON.parse(text)), `${cut}: ${JSON.stringify(part)}`);
      }
    });
  }

  /** @param {any} part @param {any} full @returns {boolean} */
  function begins(part, full) {
    if (part === undefined || part === full) return true;
    if (typeof full === "number") return typeof part === "number";
    if (typeof full === "string") return full.startsWith(part);
    return Object.keys(part).every((key) => Object.hasOwn(full, key) && begins(part[key], full[key]));
  }

  test("it takes any text", () => {
    const base = Number(process.env.SEED ?? Date.now() % 1e6);
    const alphabet = [...'{}[]",:\\u0123dD8etrufalsn-+.E \n'];
    for (let seed = base; seed < base + 3000; seed++) {
      const pick = random(seed);
      const text = Array.from({ length: pick(20) }, () => alphabet[pick(alphabet.length)]).join("");
      assert.doesNotThrow(() => parsePartial(text), `SEED=${seed}: ${text}`);
      const value = parseWhole(text);
      if (value !== undefined) assert.deepEqual(value, JSON.parse(text), `SEED=${seed}: ${text}`);
    }
    assert.equal(parseWhole("[".repeat(1e5)), undefined);
  });
});

// tests/unit/chat/test_messages.py has the same.
test("hue", () => {
  assert.deepEqual(["", "alice", "Zoë", "😀", "demo"].map(hue), [13, 23, 12, 8, 6]);
});
