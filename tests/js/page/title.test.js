import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { unmarked } from "../../../static/js/page/title.js";

test("a title has no marks", () => {
  const cases = JSON.parse(readFileSync(new URL("../../golden/titles.json", import.meta.url), "utf8"));
  for (const [text, title] of cases) assert.equal(unmarked(text), title);
});
