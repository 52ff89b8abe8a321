/**
 * Markdown to values, no DOM: `parseBlocks` for structure, `parseInline` for a run of text. Made for text that is
 * still arriving: `settled` and the `open` flag hide half-made syntax. The server's renderer has the last word on
 * finished text, so this knows what people and models write, not all of CommonMark. Every pattern is linear.
 *
 * @typedef {{kind: "paragraph", text: string}
 *   | {kind: "heading", level: number, text: string}
 *   | {kind: "code", lang: string, text: string}
 *   | {kind: "quote", text: string}
 *   | {kind: "list", ordered: boolean, first: number, loose: boolean, items: string[]}
 *   | {kind: "table", align: string[], rows: string[][]}
 *   | {kind: "rule"}} BlockBody  the first row of a table is its head
 * @typedef {BlockBody & {start: number}} Block  `start`: where the block begins in the source
 * @typedef {string | {kind: "strong" | "em" | "s" | "code", children: Inline[]}
 *   | {kind: "a", href: string, children: Inline[]} | {kind: "br"}} Inline
 */

const FENCE = /^ {0,3}(`{3,}(?=[^`]*$)|~{3,})([^]*)/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]([^]*))?$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const ITEM = /^ {0,3}([-*+]|\d{1,9}[.)])(?: {1,4}(?=\S)| |$)/;
const QUOTE = /^ {0,3}> ?/;
const UNDECIDED = /^(?:[-*+_~`]*$|\d{1,9}[.)]?$|#{1,6}$|>$|\|)/;
const MAX_CELLS = 65_536;

/**
 * The part of growing text that can be shown: a last line that may yet become something else waits for its end,
 * and a first row of cells for the line below that makes it the head of a table.
 * @param {string} source
 */
export function settled(source) {
  const cut = source.lastIndexOf("\n") + 1;
  if (!UNDECIDED.test(source.slice(cut).trim())) return source;
  const above = source.lastIndexOf("\n", cut - 2) + 1;
  const alone = cut > 0 && source[above] === "|" && source[source.lastIndexOf("\n", above - 2) + 1] !== "|";
  return source.slice(0, alone ? above : cut);
}

/**
 * @param {string} source
 * @returns {Block[]}
 */
export function parseBlocks(source) {
  const lines = source.split("\n");
  /** @type {Block[]} */
  const blocks = [];
  let start = 0;
  for (let at = 0; at < lines.length; ) {
    const [next, body] = blockAt(lines, at);
    if (body) blocks.push({ ...body, start });
    for (; at < next && at < lines.length; at++) start += lines[at].length + 1;
  }
  return blocks;
}

/**
 * The line after the block that begins on a line, and the block.
 * @param {string[]} lines
 * @param {number} at
 * @returns {[number, BlockBody?]}
 */
function blockAt(lines, at) {
  const line = lines[at++];
  /** @param {(line: string) => unknown} test @param {(line: string) => string} trim */
  const gather = (test, trim) => {
    const inner = [trim(line)];
    while (at < lines.length && test(lines[at])) inner.push(trim(lines[at++]));
    return inner;
  };
  if (!line.trim()) return [at];
  let match = FENCE.exec(line);
  if (match) return fenced(lines, at, match[1], match[2].trim().split(/\s/, 1)[0]);
  if (RULE.test(line)) return [at, { kind: "rule" }];
  if ((match = HEADING.exec(line))) {
    const text = (match[2] ?? "").trim().replace(/(?:^|[ \t])#+$/, "").trimEnd();
    return [at, { kind: "heading", level: match[1].length, text }];
  }
  if (QUOTE.test(line)) {
    const inner = gather((one) => QUOTE.test(one) || goesOn(one), (one) => one.replace(QUOTE, ""));
    return [at, { kind: "quote", text: inner.join("\n") }];
  }
  if ((match = ITEM.exec(line))) return list(lines, at - 1, match[1]);
  const divider = line.includes("|") ? cells(lines[at] ?? "") : [];
  if (divider.length === cells(line).length && divider.every((cell) => /^:?-+:?$/.test(cell))) {
    // What is beyond any table a person reads waits for the server's rendering.
    const [head, , ...rows] = gather(goesOn, String).slice(0, MAX_CELLS / divider.length).map(cells);
    const align = divider.map((cell) => ["", "left", "right", "center"][Number(cell.startsWith(":")) + 2 * Number(cell.endsWith(":"))]);
    return [at, { kind: "table", align, rows: [head, ...rows.map((row) => head.map((_, column) => row[column] ?? ""))] }];
  }
  const text = gather(goesOn, (one) => one.trimStart()).join("\n").trimEnd();
  return [at, { kind: "paragraph", text }];
}

/** @param {string[]} lines @param {number} at @param {string} fence @param {string} lang @returns {[number, BlockBody]} */
function fenced(lines, at, fence, lang) {
  const close = new RegExp(`^ {0,3}${fence}${fence[0]}*[ \\t]*$`);
  let end = at;
  while (end < lines.length && !close.test(lines[end])) end++;
  const text = lines.slice(at, end).join("\n");
  return [end + 1, { kind: "code", lang, text: text && end < lines.length ? text + "\n" : text }];
}

/** @param {string[]} lines @param {number} at @param {string} marker @returns {[number, BlockBody]} */
function list(lines, at, marker) {
  /** @type {string[][]} */
  const items = [];
  let width = 0;
  let loose = false;
  for (let blank = false; at < lines.length; at++) {
    const line = lines[at];
    const sibling = ITEM.exec(line);
    const item = items[items.length - 1];
    const indent = line.search(/\S/);
    if (indent < 0) {
      blank = true;
      item.push("");
      continue;
    }
    if (item && indent >= width) {
      item.push(line.slice(width));
    } else if (sibling && sibling[1].at(-1) === marker.at(-1) && !RULE.test(line)) {
      loose ||= blank;
      width = sibling[0].trimEnd().length + (/ *$/.exec(sibling[0])?.[0].length || 1);
      items.push([line.slice(width)]);
    } else if (!blank && goesOn(line)) {
      item.push(line.trimStart());
    } else {
      break;
    }
    blank = false;
  }
  const texts = items.map((item) => item.join("\n").trimEnd());
  return [at, { kind: "list", ordered: marker.length > 1, first: parseInt(marker, 10) || 0, loose, items: texts }];
}

/** @param {string} line */
function cells(line) {
  const bare = line.trim().replace(/^\||(?<!\\)\|$/g, "");
  return bare.split(/(?<!\\)\|/).map((cell) => cell.replaceAll("\\|", "|").trim());
}

/** Whether a line goes on with the paragraph above it. @param {string} line */
function goesOn(line) {
  const item = /^ {0,3}(?:[-*+]|1[.)]) +\S/.test(line);
  return line.trim() && !item && ![FENCE, HEADING, RULE, QUOTE].some((pattern) => pattern.test(line));
}

const PLAIN = /(?:[^\\`*_~[!\n h]|[h!](?!ttps?:\/\/|\[)| (?! ?\n))+/y;
const ADDRESS = /https?:\/\/[^\s<>`*[\]|"]{1,2000}(?<![.,:;!?'")])/y;
/** No span that has begun is longer. */
const LONGEST = 3100;
const SAFE = /^(?:https?:\/\/|mailto:)[^\s\u0000-\u001f]+$/i;

/**
 * What a span looks like when it is whole, and when its end has not come yet. The text is in group 2.
 * @type {["code" | "strong" | "em" | "s" | "a", whole: RegExp, begun: RegExp][]}
 */
const SPANS = [
  ["code", /(`+)(?!`)([^]{1,500}?)(?<!`)\1(?!`)/y, /(`+)([^`]*)$/y],
  ["strong", /(?<!\w)(\*\*|__)(?=\S)([^]{1,1000}?)(?<!\s)\1(?![\w*])/y, /(?<!\w)(\*\*|__)(?=\S)([^]{1,1000})$/y],
  ["em", /(?<!\w)([*_])(?![\s*_])([^]{1,1000}?)(?<![\s*_])\1(?![\w*_])/y, /(?<!\w)([*_])(?![\s*_])([^]{1,1000})$/y],
  ["s", /(~~)(?=\S)([^]{1,1000}?)(?<!\s)~~/y, /(~~)(?=\S)([^]{1,1000})$/y],
  [
    "a",
    /(!?\[)((?:[^[\]\\]|\\.|\[[^[\]]{0,200}\]){0,1000})\]\(((?:[^\s()\\]|\\.|\([^\s()]{0,200}\)){0,2000})(?:\s+"[^"]{0,500}")?\)/y,
    /(!?\[)([^\]]{0,1000})(?:\](?:\([^)\n]{0,2000})?)?$/y,
  ],
];

/**
 * @param {string} source
 * @param {boolean} [open] the text is still growing: what was begun is taken as meant
 * @returns {Inline[]}
 */
export function parseInline(source, open = false) {
  /** @type {Inline[]} */
  const nodes = [];
  // At the very end of growing text a mark is half of something.
  const half = open ? source.search(/(?<![\\`*_~[])[\\`*_~[]+$/) : -1;
  let at = 0;
  /** @param {RegExp} pattern */
  const take = (pattern) => {
    pattern.lastIndex = at;
    const match = pattern.exec(source);
    if (match) at = pattern.lastIndex;
    return match;
  };
  /** @param {Inline} node */
  const add = (node) => {
    const last = nodes.length - 1;
    if (typeof node === "string" && typeof nodes[last] === "string") nodes[last] += node;
    else if (node) nodes.push(node);
  };
  /** @returns {boolean} whether a span begins here, which is then taken */
  const span = () => {
    for (const [kind, whole, begun] of SPANS) {
      const match = take(whole) ?? (open && source.length - at < LONGEST ? take(begun) : null);
      if (!match) continue;
      const [, , text, target] = match;
      const href = target?.replace(/\\(?=[!-/:-@[-`{-~])/g, "") ?? "";
      const growing = open && at === source.length && target === undefined;
      const children = kind === "code" ? [text.replaceAll("\n", " ").replace(/^ (.*\S.*) $/, "$1")] : parseInline(text, growing);
      if (kind !== "a") add(children.join() && { kind, children });
      else if (SAFE.test(href)) add({ kind, href, children: children.length ? children : [href] });
      else children.forEach(add);
      return true;
    }
    return false;
  };

  while (at < source.length) {
    let match = take(PLAIN) ?? take(/\\([!-/:-@[-`{-~])/y);
    if (match) add(match[1] ?? match[0]);
    else if (take(/ {2,}\n|\\\n/y)) [{ kind: /** @type {const} */ ("br") }, "\n"].forEach(add);
    else if (span()) continue;
    else if ((match = take(ADDRESS))) add({ kind: "a", href: match[0], children: [match[0]] });
    else if (half >= 0 && at >= half) break;
    else add(take(/[*_~`]+|[^]/y)?.[0] ?? "");
  }
  return nodes;
}
