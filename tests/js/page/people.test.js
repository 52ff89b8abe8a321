import assert from "node:assert/strict";
import { test } from "node:test";

import { placesOf, typingWords } from "../../../static/js/page/faces.js";
import { hue, initials, personHue } from "../../../static/js/page/rows.js";

test("who is typing, in words", () => {
  const words = [[], ["Ana"], ["Ana", "Ben"], ["Ana", "Ben", "Cleo"], ["Ana", "Ben", "Cleo", "Dora"]].map(typingWords);
  assert.deepEqual(words, [
    "",
    "Ana is typing…",
    "Ana and Ben are typing…",
    "Ana, Ben and Cleo are typing…",
    "Ana, Ben and 2 more are typing…",
  ]);
});

test("where somebody has the chat open, in words", () => {
  const words = (/** @type {string[]} */ ...on) => placesOf({ devices: on.length, on }, false);
  assert.equal(words("computer"), "on a computer");
  assert.equal(words("computer", "phone"), "on a computer and on a phone");
  assert.equal(words("computer", "computer", "tablet"), "in 2 tabs on a computer and on a tablet");
  assert.equal(placesOf({ devices: 1, on: ["computer"] }, true), "in this tab");
  assert.equal(placesOf({ devices: 3, on: [] }, true), "in this tab and 2 more");
});

test("initials are those that the server gives", () => {
  const names = ["Amber Otter", "ana", "  Ana  Lena Banana ", "", "ßeta", "🦦 otter", "Élan é"];
  assert.deepEqual(names.map(initials), ["AO", "A", "AL", "?", "SS", "🦦O", "ÉÉ"]);
});

test("a colour counts if it is one that there is", () => {
  assert.equal(personHue({ hue: 7 }, "ana"), 7);
  assert.equal(personHue({ hue: 0 }, "ana"), 0);
  for (const odd of [24, -1, 1.5, "7", true, null, undefined]) assert.equal(personHue({ hue: odd }, "ana"), hue("ana"));
});
