import assert from "node:assert/strict";
import { test } from "node:test";

import { EventTooLargeError, MAX_EVENT } from "../../static/js/event-size.js";
import { createNdjsonParser } from "../../static/js/ndjson-parser.js";
import { own, recorded } from "./support/recorded.js";
import { seeded } from "./support/world.js";

const encoder = new TextEncoder();

/** The lines, then what is left. @param {...(string | Uint8Array)} chunks */
function parse(...chunks) {
  const parser = createNdjsonParser();
  const lines = chunks.flatMap((chunk) => [...parser.feed(typeof chunk === "string" ? encoder.encode(chunk) : chunk)]);
  return [...lines, parser.rest()];
}

test("LF, CR and CRLF end lines, wherever the chunks are cut; blank lines are nothing", () => {
  for (const end of ["\n", "\r", "\r\n"]) {
    assert.deepEqual(parse(`{"a":1}${end}${end} ${end}{"b":2}${end}`), ['{"a":1}', '{"b":2}', ""], JSON.stringify(end));
  }
  assert.deepEqual(parse('{"a":1}\r', "\n\r", '\n{"b":2}\r\n'), ['{"a":1}', '{"b":2}', ""]);
});

test("other separators are no line ends", () => {
  const line = '{"t":"a\u2028b\u2029c\u0085d"}';
  assert.deepEqual(parse(`${line}\n`), [line, ""]);
});

test("a last line needs no end; half a character of it shows", () => {
  assert.deepEqual(parse('{"a":1}\n{"b":2}'), ['{"a":1}', '{"b":2}']);
  assert.deepEqual(parse(encoder.encode('"é').slice(0, 2)), ['"\ufffd']);
  assert.deepEqual(parse("\ufeff{}\n"), ["{}", ""]);
});

const SESSION = '\ufeff{"t":"é漢😀\u2028"}\r\n\n{"id":"1","chunk":{"type":"X"}}\r{"end":true}';

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
      const bytes = encoder.encode(lines.map((/** @type {string} */ line) => line + end).join(""));
      for (let cut = 0; cut <= bytes.length; cut++) {
        const found = parse(bytes.subarray(0, cut), bytes.subarray(cut));
        assert.ok(found.join("\n") === [...lines, ""].join("\n"), `${name}, cut at ${cut}`);
      }
    }
  }
});

test("any values, written in any style and cut anywhere, come back", (context) => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  context.diagnostic(`seed ${seed}`);
  const random = seeded(seed);
  /** @template T @param {T[]} all */
  const pick = (all) => all[Math.floor(random() * all.length)];
  for (let round = 0; round < 300; round++) {
    const sent = Array.from({ length: 1 + random() * 4 }, () => ({
      t: Array.from({ length: random() * 12 }, () => pick(["a", '"', "\\", "\n", "\r", "é", "😀", "\u2028"])).join(""),
    }));
    const bytes = encoder.encode(
      sent.map((value) => JSON.stringify(value) + pick(["\n", "\r", "\r\n", "\n\n"])).join(""),
    );
    const chunks = [];
    for (let at = 0; at < bytes.length;) chunks.push(bytes.slice(at, (at += 1 + Math.floor(random() * 7))));
    const lines = parse(...chunks).slice(0, -1);
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)),
      sent,
      `seed ${seed}, round ${round}`,
    );
  }
});

test("a line of 1 MiB is read, a longer one is refused, and what came before it is not lost", () => {
  const longest = "x".repeat(MAX_EVENT);
  assert.deepEqual(parse(`${longest}\n`), [longest, ""]);
  const parser = createNdjsonParser();
  /** @type {string[]} */
  const lines = [];
  assert.throws(
    () => {
      for (const line of parser.feed(encoder.encode(`{}\n${longest}x`))) lines.push(line);
    },
    (error) => error instanceof EventTooLargeError && error.limit === MAX_EVENT && /1 MiB/.test(error.message),
  );
  assert.deepEqual(lines, ["{}"]);
});

test("a line that never ends is refused while it grows", () => {
  const parser = createNdjsonParser();
  const part = encoder.encode("x".repeat(64 * 1024));
  let fed = 0;
  assert.throws(() => {
    for (; fed < 100; fed++) for (const _ of parser.feed(part));
  }, EventTooLargeError);
  assert.equal(fed, 16);
});
