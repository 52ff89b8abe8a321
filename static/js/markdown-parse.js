/**
 * Markdown to values, no DOM: `parseBlocks` for structure, `parseInline` for a run of text. Made for text that is
 * still arriving: `settled` and the `open` flag hide half-made syntax. The server's renderer has the last word on
 * finished text, so this knows what people and models write, not every corner of CommonMark. All of it is linear.
 *
 * @typedef {{kind: "paragraph", text: string}
 *   | {kind: "heading", level: number, text: string}
 *   | {kind: "code", lang: string, text: string}
 *   | {kind: "quote", text: string}
 *   | {kind: "list", ordered: boolean, first: number, loose: boolean, items: string[]}
 *   | {kind: "table", align: string[], head: string[], rows: string[][]}
 *   | {kind: "rule"}} BlockBody
 * @typedef {BlockBody & {start: number}} Block  `start`: where the block begins in the source
 * @typedef {string | {kind: "strong" | "em" | "s", children: Inline[]} | {kind: "code", text: string}
 *   | {kind: "link", href: string, children: Inline[]} | {kind: "break"}} Inline
 */

const FENCE = /^( {0,3})(`{3,}|~{3,})[ \t]*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?: {1,4}(?=\S)| |$)/;
const QUOTE = /^ {0,3}> ?/;
const UNDERLINE = /^ {0,3}(=+|-+)[ \t]*$/;
const DIVIDER = /^[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)*[ \t]*:?-+:?[ \t]*\|?[ \t]*$/;
const UNDECIDED = /^\s*(?:[-*+_=~`]+|\d{1,9}[.)]?|#{1,6}|>|\|.*)\s*$/;

/**
 * The part of growing text that can be shown: a last line that may yet become something else waits for its end,
 * and a first row of cells for the line below that makes it the head of a table.
 * @param {string} source
 */
export function settled(source) {
  const cut = source.lastIndexOf("\n") + 1;
  const tail = source.slice(cut);
  if (tail && !UNDECIDED.test(tail)) return source;
  const above = source.lastIndexOf("\n", cut - 2) + 1;
  const alone = cut > 0 && source.startsWith("|", above) && source[source.lastIndexOf("\n", above - 2) + 1] !== "|";
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
    for (; at < next; at++) start += lines[at].length + 1;
  }
  return blocks;
}

/**
 * The block that begins on a line, and the line after it.
 * @param {string[]} lines
 * @param {number} at
 * @returns {[number, BlockBody?]}
 */
function blockAt(lines, at) {
  const line = untab(lines[at++]);
  if (!line.trim()) return [at];
  let match = FENCE.exec(line);
  if (match) return fenced(lines, at, match);
  if (RULE.test(line)) return [at, { kind: "rule" }];
  if ((match = HEADING.exec(line))) {
    const text = (match[2] ?? "").replace(/(?:^|[ \t])#+[ \t]*$/, "").trim();
    return [at, { kind: "heading", level: match[1].length, text }];
  }
  if (QUOTE.test(line)) {
    const inner = [line.replace(QUOTE, "")];
    while (at < lines.length && (QUOTE.test(lines[at]) || continues(inner, lines[at]))) inner.push(lines[at++].replace(QUOTE, ""));
    return [at, { kind: "quote", text: inner.join("\n") }];
  }
  if ((match = ITEM.exec(line))) return list(lines, at - 1, match);
  if (line.startsWith("    ")) {
    const inner = [line.slice(4)];
    while (at < lines.length && (/^(?: {4}|\t)/.test(lines[at]) || !lines[at].trim())) inner.push(untab(lines[at++]).slice(4));
    return [at, { kind: "code", lang: "", text: inner.join("\n").trimEnd() + "\n" }];
  }
  if (line.includes("|") && at < lines.length && DIVIDER.test(lines[at]) && cells(line).length === cells(lines[at]).length) {
    return table(lines, at);
  }
  const inner = [line.trim()];
  for (; at < lines.length && lines[at].trim(); at++) {
    match = UNDERLINE.exec(lines[at]);
    if (match) return [at + 1, { kind: "heading", level: match[1][0] === "=" ? 1 : 2, text: inner.join("\n") }];
    if (interrupts(lines[at])) break;
    inner.push(lines[at].trimStart());
  }
  return [at, { kind: "paragraph", text: inner.join("\n").trimEnd() }];
}

/** @param {string[]} lines @param {number} at @param {RegExpExecArray} opening @returns {[number, BlockBody]} */
function fenced(lines, at, [, indent, fence, info]) {
  const close = new RegExp(`^ {0,3}${fence[0]}{${fence.length},}[ \\t]*$`);
  let text = "";
  for (; at < lines.length && !close.test(lines[at]); at++) {
    if (at === lines.length - 1 && !lines[at]) break;
    text += (lines[at].startsWith(indent) ? lines[at].slice(indent.length) : lines[at].trimStart()) + "\n";
  }
  return [at + 1, { kind: "code", lang: info.trim().split(/\s/)[0], text }];
}

/** @param {string[]} lines @param {number} at @param {RegExpExecArray} opening @returns {[number, BlockBody]} */
function list(lines, at, opening) {
  const [, , marker] = opening;
  /** @type {string[][]} */
  const items = [];
  let width = 0;
  let loose = false;
  for (let blank = false; at < lines.length; at++) {
    const line = untab(lines[at]);
    const sibling = ITEM.exec(line);
    const item = items[items.length - 1];
    if (!line.trim()) {
      blank = true;
      item.push("");
      continue;
    }
    if (item && line.search(/\S/) >= width) {
      // An empty line before text of this item, not of one nested in it, sets the list wide.
      loose ||= blank && line.search(/\S/) < width + 2 && !ITEM.test(line.slice(width));
      item.push(line.slice(width));
    } else if (sibling && sibling[2].at(-1) === marker.at(-1) && !RULE.test(line)) {
      loose ||= blank;
      width = sibling[0].length + (sibling[0].endsWith(" ") ? 0 : 1);
      items.push([line.slice(width)]);
    } else if (!blank && continues(item, line)) {
      item.push(line.trimStart());
    } else {
      break;
    }
    blank = false;
  }
  const texts = items.map((item) => item.join("\n").trimEnd());
  return [at, { kind: "list", ordered: marker.length > 1, first: parseInt(marker, 10) || 0, loose, items: texts }];
}

/** @param {string[]} lines @param {number} at the divider @returns {[number, BlockBody]} */
function table(lines, at) {
  const head = cells(lines[at - 1]);
  const align = cells(lines[at++]).map((cell) => (cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : cell.startsWith(":") ? "left" : ""));
  const rows = [];
  for (; at < lines.length && lines[at].trim() && !interrupts(lines[at]); at++) {
    const row = cells(lines[at]);
    rows.push(head.map((_, column) => row[column] ?? ""));
  }
  return [at, { kind: "table", align, head, rows }];
}

/** @param {string} line */
function cells(line) {
  const bare = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  return bare.split(/(?<!\\)\|/).map((cell) => cell.replaceAll("\\|", "|").trim());
}

/** Whether a line ends a paragraph without an empty line between. @param {string} line */
function interrupts(line) {
  const item = ITEM.exec(line);
  const begins = item && item[0].length < line.length && /^(?:[-*+]|1[.)])$/.test(item[2]);
  return begins || FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line);
}

/** Whether a line goes on the paragraph above without its prefix. @param {string[]} above @param {string} line */
function continues(above, line) {
  return Boolean(line.trim() && above[above.length - 1].trim() && !interrupts(line));
}

/** @param {string} line */
function untab(line) {
  return line.includes("\t") ? line.replace(/^[ \t]+/, (space) => space.replaceAll("\t", "    ")) : line;
}

const PLAIN = /[^\\`*_~[\]!<&\nhw]+|[hw](?!ttps?:\/\/|ww\.)/y;
const BARE_LINK = /(?:https?:\/\/|www\.)[^\s<>`*[\]|"]{1,2000}/y;
const TARGET = /\([ \n]*(?:<([^<>\n]{0,2000})>|((?:[^\s()\\]|\\.|\([^\s()]{0,200}\)){0,2000}))(?:[ \n]+(?:"[^"]{0,500}"|'[^']{0,500}'))?[ \n]*\)/y;
const ANGLED = /<((?:https?:\/\/|mailto:)[^\s<>]{1,2000})>/y;
const ENTITY = /&(?:(amp|lt|gt|quot|nbsp|copy)|#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6}));/y;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', nbsp: "\u00a0", copy: "©" };
const SPACE = /^\s?$/;
const PUNCTUATION = /^[\p{P}\p{S}]$/u;
const MAX_OPEN = 24;

/**
 * @param {string} source
 * @param {boolean} [open] the text is still growing: what was begun is taken as meant
 * @returns {Inline[]}
 */
export function parseInline(source, open = false) {
  /** @typedef {{mark: string, children: Inline[]}} Frame */
  /** @type {Frame[]} */
  const stack = [{ mark: "", children: [] }];
  /** @type {Set<number>} */
  const unclosed = new Set();
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
    else if (node !== "") children.push(node);
  };
  /** Frames from `depth` up turn out to be text; or, in growing text, what they seem to be. @param {number} depth @param {boolean} [meant] */
  const unwind = (depth, meant = false) => {
    while (stack.length > depth) {
      const { mark, children } = /** @type {Frame} */ (stack.pop());
      if (meant && mark !== "[" && children.length) add(styled(mark, children));
      else {
        if (!meant) add(mark);
        children.forEach(add);
      }
    }
  };
  /** @param {string} mark */
  const push = (mark) => {
    if (stack.length > MAX_OPEN) add(mark);
    else stack.push({ mark, children: [] });
  };
  /** @param {string} mark */
  const find = (mark) => stack.findLastIndex((frame) => frame.mark === mark);

  while (at < source.length) {
    let match = take(PLAIN);
    if (match) {
      add(match[0]);
      continue;
    }
    const char = source[at];
    if (char === "\n") {
      const top = stack[stack.length - 1].children;
      const text = top[top.length - 1];
      const hard = typeof text === "string" && text.endsWith("  ");
      if (typeof text === "string") top[top.length - 1] = text.trimEnd();
      if (hard) add({ kind: "break" });
      add("\n");
      at++;
    } else if (char === "\\") {
      const next = source[at + 1] ?? "";
      if (next === "\n") add({ kind: "break" });
      else if (/[!-/:-@[-`{-~]/.test(next)) add(next);
      else if (next || !open) add("\\" + next);
      at += next === "\n" ? 1 : 2;
    } else if (char === "`") {
      codeSpan();
    } else if (char === "*" || char === "_" || char === "~") {
      delimiters(char);
    } else if (char === "[" || (char === "!" && source[at + 1] === "[")) {
      at += char === "[" ? 1 : 2;
      push("[");
    } else if (char === "]") {
      closeLink();
    } else if ((match = take(ANGLED))) {
      add({ kind: "link", href: match[1], children: [match[1].replace(/^mailto:/, "")] });
    } else if ((match = take(ENTITY))) {
      const code = match[2] ? Number(match[2]) : parseInt(match[3] ?? "0", 16);
      add(match[1] ? ENTITIES[/** @type {keyof ENTITIES} */ (match[1])] : String.fromCodePoint(code > 0 && code < 0x110000 ? code : 0xfffd));
    } else if ((match = take(BARE_LINK))) {
      const url = match[0].replace(/[.,:;!?'")]+$/, "");
      at -= match[0].length - url.length;
      add({ kind: "link", href: url.startsWith("www.") ? `http://${url}` : url, children: [url] });
    } else {
      add(char);
      at++;
    }
  }
  unwind(1, open);
  return stack[0].children;

  function codeSpan() {
    const [ticks] = /** @type {RegExpExecArray} */ (take(/`+/y));
    let end = unclosed.has(ticks.length) ? -1 : source.indexOf(ticks, at);
    while (end >= 0 && (source[end + ticks.length] === "`" || source[end - 1] === "`")) {
      while (source[end] === "`") end++;
      end = source.indexOf(ticks, end);
    }
    if (end < 0 && !open) {
      unclosed.add(ticks.length);
      add(ticks);
      return;
    }
    const text = source.slice(at, end < 0 ? undefined : end).replaceAll("\n", " ");
    at = end < 0 ? source.length : end + ticks.length;
    if (text) add({ kind: "code", text: /^ .*\S.* $/.test(text) ? text.slice(1, -1) : text });
  }

  /** @param {string} char */
  function delimiters(char) {
    const before = source[at - 1] ?? " ";
    let [{ length }] = /** @type {RegExpExecArray} */ (take(char === "*" ? /\*+/y : char === "_" ? /_+/y : /~+/y));
    const atEnd = at === source.length;
    const after = source[at] ?? " ";
    const left = !SPACE.test(after) && (!PUNCTUATION.test(after) || SPACE.test(before) || PUNCTUATION.test(before));
    const right = !SPACE.test(before) && (!PUNCTUATION.test(before) || SPACE.test(after) || PUNCTUATION.test(after));
    const sizes = char === "~" ? [2] : [2, 1];
    if (length > 3 || (char === "~" && length !== 2)) return add(char.repeat(length));
    if (right && (char !== "_" || !left || PUNCTUATION.test(after))) {
      for (let closed = true; closed && length; ) {
        closed = false;
        const depths = sizes.map((size) => (size <= length ? find(char.repeat(size)) : -1));
        const depth = Math.max(...depths);
        if (depth > 0) {
          unwind(depth + 1);
          const { mark, children } = /** @type {Frame} */ (stack.pop());
          add(children.length ? styled(mark, children) : mark + mark);
          length -= mark.length;
          closed = true;
        }
      }
    }
    // In growing text a run at the very end is half of something.
    if (!length || (open && atEnd)) return;
    const opens = left && (char !== "_" || !right || PUNCTUATION.test(before)) && !(open && right && !PUNCTUATION.test(before));
    if (!opens) return add(char.repeat(length));
    if (length % 2) push(char);
    if (length > 1) push(char + char);
  }

  function closeLink() {
    at++;
    const depth = find("[");
    const target = source[at] === "(" && depth > 0 ? take(TARGET) : null;
    const growing = open && depth > 0 && (at === source.length || (source[at] === "(" && !/[)\n]/.test(source.slice(at))));
    if (!target && !growing) {
      if (depth > 0) unwind(depth);
      return add("]");
    }
    unwind(depth + 1);
    const { children } = /** @type {Frame} */ (stack.pop());
    const href = target && safeHref((target[1] ?? target[2]).replace(/\\(?=[!-/:-@[-`{-~])/g, ""));
    if (!target) at = source.length;
    if (href) add({ kind: "link", href, children: children.length ? children : [href] });
    else children.forEach(add);
  }
}

/** @param {string} mark @param {Inline[]} children @returns {Inline} */
function styled(mark, children) {
  return { kind: mark === "~~" ? "s" : mark.length > 1 ? "strong" : "em", children };
}

/** The address if it may be followed, else "". @param {string} href */
function safeHref(href) {
  return /^(?:https?:\/\/|mailto:)/i.test(href) && !/[\u0000-\u0020\u007f]/.test(href) ? href : "";
}
