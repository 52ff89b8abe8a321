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

const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^`\s]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*?)(?:[ \t]+#+)?)?[ \t]*$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const ITEM = /^ {0,3}([-*+]|\d{1,9}[.)])(?: {1,4}(?=\S)| |$)/;
const QUOTE = /^ {0,3}> ?/;
const DIVIDER = /^[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)*[ \t]*:?-+:?[ \t]*\|?[ \t]*$/;
const UNDECIDED = /^\s*(?:[-*+_~`]*|\d{1,9}[.)]?|#{1,6}|>|\|.*)\s*$/;

/**
 * The part of growing text that can be shown: a last line that may yet become something else waits for its end,
 * and a first row of cells for the line below that makes it the head of a table.
 * @param {string} source
 */
export function settled(source) {
  const cut = source.lastIndexOf("\n") + 1;
  if (!UNDECIDED.test(source.slice(cut))) return source;
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
  if (match) return fenced(lines, at, match[1], match[2]);
  if (RULE.test(line)) return [at, { kind: "rule" }];
  if ((match = HEADING.exec(line))) return [at, { kind: "heading", level: match[1].length, text: match[2] ?? "" }];
  if (QUOTE.test(line)) {
    const inner = gather((one) => QUOTE.test(one) || goesOn(one), (one) => one.replace(QUOTE, ""));
    return [at, { kind: "quote", text: inner.join("\n") }];
  }
  if ((match = ITEM.exec(line))) return list(lines, at - 1, match[1]);
  const columns = cells(line).length;
  if (line.includes("|") && DIVIDER.test(lines[at] ?? "") && cells(lines[at]).length === columns) {
    const [head, divider, ...rows] = gather(goesOn, String).map(cells);
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
    const line = lines[at].replace(/^\t+/, (tabs) => "    ".repeat(tabs.length));
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

const PLAIN = /[^\\`*_~[\]!\nh]+|h(?!ttps?:\/\/)/y;
const BARE_LINK = /https?:\/\/[^\s<>`*[\]|"]{1,2000}(?<![.,:;!?'")])/y;
const TARGET = /\(((?:[^\s()\\]|\\.|\([^\s()]{0,200}\)){0,2000})(?:\s+"[^"]{0,500}")?\)/y;
const CODE = /(`+)(?!`)([^]{1,500}?)(?<!`)\1(?!`)/y;
const OPEN_CODE = /(`+)([^`]*)$/y;
const SPACE = /^\s?$/;
const PUNCTUATION = /^[\p{P}\p{S}]$/u;
const MAX_OPEN = 24;

/**
 * @param {string} source
 * @param {boolean} [open] the text is still growing: what was begun is taken as meant
 * @returns {Inline[]}
 */
export function parseInline(source, open = false) {
  /** What has begun and not ended, outermost first. @type {{mark: string, children: Inline[]}[]} */
  const stack = [{ mark: "", children: [] }];
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
    const { children } = stack[stack.length - 1];
    const last = children.length - 1;
    if (typeof node === "string" && typeof children[last] === "string") children[last] += node;
    else if (node) children.push(node);
  };
  const pop = () => /** @type {{mark: string, children: Inline[]}} */ (stack.pop());
  /** @param {string} mark */
  const find = (mark) => stack.findLastIndex((frame) => frame.mark === mark);
  /** What began at `depth` or above turns out to be text or, if it was meant, what it seemed. @param {number} depth @param {boolean} [meant] */
  const unwind = (depth, meant = false) => {
    while (stack.length > depth) {
      const { mark, children } = pop();
      if (meant && mark !== "[" && children.length) add(styled(mark, children));
      else [meant ? "" : mark, ...children].forEach(add);
    }
  };

  while (at < source.length) {
    let match = take(PLAIN);
    const char = source[at];
    if (match) {
      add(match[0]);
    } else if (char === "\n") {
      at++;
      const { children } = stack[stack.length - 1];
      const text = children.pop() ?? "";
      add(typeof text === "string" ? text.trimEnd() : text);
      if (typeof text === "string" && text.endsWith("  ")) add({ kind: "br" });
      add("\n");
    } else if (char === "\\") {
      const next = source[at + 1] ?? "";
      at += next === "\n" ? 1 : 2;
      add(next === "\n" ? { kind: "br" } : /[!-/:-@[-`{-~]/.test(next) || (open && !next) ? next : char + next);
    } else if ((match = take(CODE) ?? (open ? take(OPEN_CODE) : null))) {
      const text = match[2].replaceAll("\n", " ").replace(/^ (.*\S.*) $/, "$1");
      if (text) add({ kind: "code", children: [text] });
    } else if ((match = take(/`+/y))) {
      add(match[0]);
    } else if ((match = take(/\*+|_+|~+/y))) {
      delimiters(match[0]);
    } else if ((match = take(/!?\[/y))) {
      if (stack.length > MAX_OPEN) add(match[0]);
      else stack.push({ mark: "[", children: [] });
    } else if (char === "]") {
      at++;
      closeLink();
    } else if ((match = take(BARE_LINK))) {
      add({ kind: "a", href: match[0], children: [match[0]] });
    } else {
      at++;
      add(char);
    }
  }
  unwind(1, open);
  return stack[0].children;

  /** @param {string} run */
  function delimiters(run) {
    const before = source[at - run.length - 1] ?? "";
    const after = source[at] ?? "";
    const edge = [before, after].map((one) => SPACE.test(one) || PUNCTUATION.test(one));
    const left = !SPACE.test(after) && (!PUNCTUATION.test(after) || edge[0]);
    const right = !SPACE.test(before) && (!PUNCTUATION.test(before) || edge[1]);
    const [char] = run;
    let { length } = run;
    if (length > 3 || (char === "~" && length !== 2)) return add(run);
    while (right && (char !== "_" || edge[1]) && length) {
      const depth = Math.max(find(char), length > 1 ? find(char + char) : -1);
      if (depth < 0) break;
      unwind(depth + 1);
      const { mark, children } = pop();
      add(styled(mark, children));
      length -= mark.length;
    }
    // At the very end of growing text this is half of something; within a word it is rarely more than a sign.
    if (!length || (open && !after)) return;
    if (!left || stack.length > MAX_OPEN || (!edge[0] && (char === "_" || open))) return add(char.repeat(length));
    for (const size of [length % 2, length & 2]) if (size) stack.push({ mark: char.repeat(size), children: [] });
  }

  function closeLink() {
    const depth = find("[");
    const target = depth > 0 && source[at] === "(" ? take(TARGET) : null;
    const growing = open && depth > 0 && /^(?:\([^)\n]*)?$/.test(source.slice(at));
    if (!target && !growing) {
      if (depth > 0) unwind(depth);
      return add("]");
    }
    unwind(depth + 1);
    const { children } = pop();
    const href = target ? target[1].replace(/\\(?=[!-/:-@[-`{-~])/g, "") : "";
    if (!target) at = source.length;
    if (/^(?:https?:\/\/|mailto:)[^\s\u0000-\u001f]+$/i.test(href)) add({ kind: "a", href, children: children.length ? children : [href] });
    else children.forEach(add);
  }
}

/** @param {string} mark @param {Inline[]} children @returns {Inline} */
function styled(mark, children) {
  return { kind: mark === "~~" ? "s" : mark.length > 1 ? "strong" : "em", children };
}
