import assert from "node:assert/strict";
import { test } from "node:test";

import { parseBlocks, parseInline, settled } from "../../../static/js/page/markdown-parse.js";

/** @param {string} source */
const kinds = (source) => parseBlocks(source).map(({ kind }) => kind);

/** Inline nodes in short: `<em>a</em>`. @param {import("../../../static/js/page/markdown-parse.js").Inline[]} nodes @returns {string} */
const brief = (nodes) =>
  nodes
    .map((node) => {
      if (typeof node === "string") return node;
      if (node.kind === "br") return "<br>";
      const href = node.kind === "a" ? ` ${node.href}` : "";
      return `<${node.kind}${href}>${brief(node.children)}</${node.kind}>`;
    })
    .join("");

test("every kind of block, and where it starts", () => {
  const source = "# Title #\n\nText\ngoes on\n\n- a\n- b\n\n```py x\n1\n\n2\n```\n> said\n> more\n\n***\n\n| a | b |\n|--|:-:|\n| 1 |\n";
  const blocks = parseBlocks(source);
  assert.deepEqual(
    blocks.map(({ start, ...body }) => body),
    [
      { kind: "heading", level: 1, text: "Title" },
      { kind: "paragraph", text: "Text\ngoes on" },
      { kind: "list", ordered: false, first: 0, loose: false, items: ["a", "b"] },
      { kind: "code", lang: "py", text: "1\n\n2\n" },
      { kind: "quote", text: "said\nmore" },
      { kind: "rule" },
      { kind: "table", align: ["", "center"], rows: [["a", "b"], ["1", ""]] },
    ],
  );
  for (const { start } of blocks) assert.match(source.slice(start, start + 3), /^(?:# T|Tex|- a|```|> s|\*\*\*|\| a)/);
});

test("lists nest, go on lazily, and end where another kind begins", () => {
  assert.deepEqual(parseBlocks("1. a\n   - x\n   - y\n2. b\nlazy\n\nafter").map((block) => block.kind === "list" && block.items), [
    ["a\n- x\n- y", "b\nlazy"],
    false,
  ]);
  assert.deepEqual(kinds("- a\n* b\n1. c"), ["list", "list", "list"]);
  const [list] = parseBlocks("7. a\n\n8. b");
  assert.ok(list.kind === "list" && list.first === 7 && list.loose);
});

test("a fence holds everything until it closes, also when it never does", () => {
  assert.deepEqual(parseBlocks("```\n# no\n- no\n").map((block) => block.kind === "code" && block.text), ["# no\n- no\n"]);
  assert.deepEqual(kinds("````\n```\n````\nend"), ["code", "paragraph"]);
});

test("inline text", () => {
  const cases = {
    "a **b** *c* ***d*** ~~e~~ `f*g*`": "a <strong>b</strong> <em>c</em> <strong><em>d</em></strong> <s>e</s> <code>f*g*</code>",
    "2 * 3 * 4, snake_case_name, 5*3": "2 * 3 * 4, snake_case_name, 5*3",
    "**open and *open": "**open and *open",
    "[a *b*](https://x.de/(1) \"t\") [n] ![p](https://x.de/i.png)":
      "<a https://x.de/(1)>a <em>b</em></a> [n] <a https://x.de/i.png>p</a>",
    "see https://x.de/a_b_c, now": "see <a https://x.de/a_b_c>https://x.de/a_b_c</a>, now",
    "[a](javascript:alert(1)) [b](data:text/html,x) [c](/here)": "a b c",
    "\\*no\\* a  \nb\\\nc": "*no* a<br>\nb<br>\nc",
    "``a ` b`` `": "<code>a ` b</code> `",
  };
  for (const [source, expected] of Object.entries(cases)) assert.equal(brief(parseInline(source)), expected, source);
});

test("half-made syntax at the end of growing text does not show", () => {
  const cases = {
    "a **": "a ",
    "a **b": "a <strong>b</strong>",
    "a **b*": "a <strong>b</strong>",
    "a `": "a ",
    "a `b": "a <code>b</code>",
    "a [b": "a b",
    "a [b]": "a b",
    "a [b](https://x": "a b",
    "a \\": "a ",
    "5*3 is": "5*3 is",
    "[1] is": "[1] is",
  };
  for (const [source, expected] of Object.entries(cases)) assert.equal(brief(parseInline(source, true)), expected, source);
});

test("a line that may become something else waits", () => {
  const cases = {
    "a\n-": "a\n",
    "a\n1.": "a\n",
    "a\n##": "a\n",
    "a\n``": "a\n",
    "a\n\n| x | y": "a\n\n",
    "a\n\n| x | y |\n": "a\n\n",
    "| x |\n|---|\n| 1 |\n| 2": "| x |\n|---|\n| 1 |\n",
    "a\n- b": "a\n- b",
    "plain": "plain",
  };
  for (const [source, expected] of Object.entries(cases)) assert.equal(settled(source), expected, source);
});

test("finished blocks stay what they are, wherever the text is cut", () => {
  const source = "# T\n\nOne *two*\n\n1. a\n   - b\n2. c\n\n```js\nx\n```\n\n| a |\n|---|\n| 1 |\n\n> q\n\n---\n\nend";
  const whole = parseBlocks(source);
  for (let cut = 0; cut <= source.length; cut++) {
    const finished = parseBlocks(settled(source.slice(0, cut))).slice(0, -1);
    assert.deepEqual(finished, whole.slice(0, finished.length), source.slice(0, cut));
  }
});

test("no address but http, https and mailto ever becomes a link, wherever the text is cut", () => {
  const source = "[a](javascript:x) [b](JaVaScRiPt:x) [c](\u0001javascript:x) [d](vbscript:x) <javascript:x> ![e](data:x) [f](https://ok.de)";
  /** @param {import("../../../static/js/page/markdown-parse.js").Inline[]} nodes @returns {string[]} */
  const links = (nodes) => nodes.flatMap((node) => (typeof node === "string" || node.kind === "br" ? [] : [...(node.kind === "a" ? [node.href] : []), ...links(node.children)]));
  for (let cut = 0; cut <= source.length; cut++) {
    for (const open of [true, false]) {
      for (const href of links(parseInline(source.slice(0, cut), open))) assert.match(href, /^https:\/\/o/);
    }
  }
});

test("the time for hostile input grows with its length only", { timeout: 30_000 }, () => {
  const size = 100_000;
  const many = ["*a **b ", "[", "![](", "[a](", "`x``", "_a", "~~", "<", "\\", "> ", "- ", "|a", "#", "**_`[", "https://", " |", "\\|"];
  const long = [
    ["text\n", " ", "x"],
    ["a|b\n", " ", "x"],
    ["# a", " ", "b"],
    ["#", " #", " b"],
    ["```", " ", "`"],
    ["```", "a", "`"],
    ["~~~", "~", "`"],
    ["", "[", "a"],
    ["", "`*_~[\\", "a"],
    ["", " ", "\nx"],
    ["a|".repeat(9_000) + "\n" + "-|".repeat(9_000) + "\n", "|\n", ""],
  ];
  for (const [head, piece, tail] of [...many.map((piece) => ["", piece, ""]), ...long]) {
    const source = head + piece.repeat(size / piece.length) + tail;
    for (const text of [source, settled(source)]) assert.ok(Array.isArray(parseBlocks(text)));
    for (const open of [true, false]) assert.ok(Array.isArray(parseInline(source, open)), piece);
  }
});
