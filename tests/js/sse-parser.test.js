import assert from "node:assert/strict";
import { test } from "node:test";

import { EventTooLargeError, MAX_EVENT } from "../../static/js/event-size.js";
import { createSseParser } from "../../static/js/sse-parser.js";
import { own, recorded } from "./support/recorded.js";
import { seeded } from "./support/world.js";

const encoder = new TextEncoder();

/** @param {...(string | Uint8Array)} chunks */
function parse(...chunks) {
  const { feed } = createSseParser();
  return chunks.flatMap((chunk) => [...feed(typeof chunk === "string" ? encoder.encode(chunk) : chunk)]);
}

/** @param {...(string | Uint8Array)} chunks */
const data = (...chunks) => parse(...chunks).map((event) => event.data);

test("the examples of the standard", () => {
  assert.deepEqual(parse("data: YHOO\ndata: +2\ndata: 10\n\n"), [{ type: "message", data: "YHOO\n+2\n10", id: "", tagged: false }]);
  const stream = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n";
  assert.deepEqual(parse(stream), [
    { type: "message", data: "first event", id: "1", tagged: true },
    { type: "message", data: "second event", id: "", tagged: true },
  ]);
  assert.deepEqual(data("data\n\ndata\ndata\n\ndata:"), ["", "\n"]);
  assert.deepEqual(data("data:test\n\ndata: test\n\n"), ["test", "test"]);
});

test("fields", () => {
  const events = parse("event: control\ndata:{}\n\ndata: plain\n\nevent: lost\n\nid: a\0b\nretry: 5\nfoo: bar\ndata: x\n\n");
  assert.deepEqual(
    events.map(({ type, data, id }) => [type, data, id]),
    [
      ["control", "{}", ""],
      ["message", "plain", ""],
      ["message", "x", ""],
    ],
  );
  assert.deepEqual(data("data: a:b: c\n\n"), ["a:b: c"]);
});

test("CR, LF and CRLF end lines, wherever the chunks are cut", () => {
  for (const end of ["\n", "\r", "\r\n"]) {
    assert.deepEqual(data(`data: a${end}data: b${end}${end}data: c${end}${end}`), ["a\nb", "c"], JSON.stringify(end));
  }
  assert.deepEqual(data("data: a\r", "\n", "\r", "\ndata: b\r\n\r\n"), ["a", "b"]);
  assert.deepEqual(data("data: a\r", "\r", "data: b\r\r"), ["a", "b"]);
});

test("an event is dispatched by the CR itself, without waiting for an LF", () => {
  assert.equal(parse("data: a\r\r").length, 1);
});

test("one byte order mark is dropped, also when cut; a second one is data", () => {
  const bytes = encoder.encode("\ufeffdata: a\n\n\ufeffdata: b\n\ndata: c\n\n");
  assert.deepEqual(data(bytes), ["a", "c"]);
  assert.deepEqual(data(bytes.slice(0, 1), bytes.slice(1, 2), bytes.slice(2)), ["a", "c"]);
});

test("other separators are no line ends", () => {
  const text = "a\u2028b\u2029c\u0085d\u000be\u000cf\u001cg";
  assert.deepEqual(data(`data: ${text}\n\n`), [text]);
});

const SESSION = "\ufeff: ping\r\nevent: data\r\ndata:[{\"t\":\"é漢😀\u2028\"}]\r\n\r\nevent: control\ndata: {\"o\":1}\n\ndata: a\rdata: b\r\r";

test("split at every byte, and into single bytes", () => {
  const bytes = encoder.encode(SESSION);
  const whole = parse(bytes);
  assert.equal(whole.length, 3);
  for (let cut = 0; cut <= bytes.length; cut++) {
    assert.deepEqual(parse(bytes.slice(0, cut), bytes.slice(cut)), whole, `cut at ${cut}`);
  }
  assert.deepEqual(parse(...Array.from(bytes, (byte) => Uint8Array.of(byte))), whole);
});

test("recorded sessions, in any style, split at every byte", () => {
  for (const { name, events } of [...recorded, ...own["parts.jsonl"], ...own["runs.jsonl"]]) {
    const lines = events.map((/** @type {any} */ event) => JSON.stringify(event));
    for (const end of ["\n", "\r", "\r\n"]) {
      const bytes = encoder.encode(lines.map((/** @type {string} */ line) => `data: ${line}${end}${end}`).join(""));
      for (let cut = 0; cut <= bytes.length; cut++) {
        const found = data(bytes.subarray(0, cut), bytes.subarray(cut));
        assert.ok(found.join("\n") === lines.join("\n"), `${name}, cut at ${cut}`);
      }
    }
  }
});

test("any events, written in any style and cut anywhere, come back", (context) => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  context.diagnostic(`seed ${seed}`);
  const random = seeded(seed);
  /** @template T @param {T[]} all */
  const pick = (all) => all[Math.floor(random() * all.length)];
  for (let round = 0; round < 300; round++) {
    const sent = Array.from({ length: 1 + random() * 4 }, () =>
      Array.from({ length: random() * 12 }, () => pick(["a", ":", " ", "\n", "é", "😀", "\u2028", "data", "\0"])).join(""),
    );
    const end = pick(["\n", "\r", "\r\n"]);
    const text = sent
      .map((value) => value.split("\n").map((line) => `data: ${line}${end}`).join("") + pick(["", `:c${end}`]) + end)
      .join("");
    const bytes = encoder.encode(text);
    const chunks = [];
    for (let at = 0; at < bytes.length; ) chunks.push(bytes.slice(at, (at += 1 + Math.floor(random() * 7))));
    assert.deepEqual(data(...chunks), sent, `seed ${seed}, round ${round}`);
  }
});

test("what has begun and not ended is told", () => {
  const parser = createSseParser();
  for (const [text, unfinished] of /** @type {[string, boolean][]} */ ([
    ["da", true],
    ["ta: a\n", true],
    ["\n", false],
    [": comment\n", false],
    ["id: 7\n\n", false],
    ["data: b", true],
  ])) {
    for (const _ of parser.feed(encoder.encode(text)));
    assert.equal(parser.unfinished(), unfinished, JSON.stringify(text));
  }
});

test("an event tells whether it brought its id", () => {
  const events = parse("id: 1\ndata: a\n\ndata: b\n\nid: 2\n\ndata: c\n\n");
  assert.deepEqual(
    events.map(({ data, id, tagged }) => [data, id, tagged]),
    [
      ["a", "1", true],
      ["b", "1", false],
      ["c", "2", false],
    ],
  );
});

test("an event of 1 MiB is read, a larger one is refused, and what came before it is not lost", () => {
  const longest = "x".repeat(MAX_EVENT - "data:".length);
  assert.deepEqual(data(`data:${longest}\n\n`), [longest]);
  for (const large of [`data:${longest}x`, "data:y\n".repeat(600_000), `:${longest}xxxxx`]) {
    const parser = createSseParser();
    /** @type {string[]} */
    const seen = [];
    assert.throws(() => {
      for (const event of parser.feed(encoder.encode(`data:first\n\n${large}`))) seen.push(event.data);
    }, (error) => error instanceof EventTooLargeError && error.limit === MAX_EVENT);
    assert.deepEqual(seen, ["first"]);
  }
});
