/** Markdown that is still arriving, as nodes. Text becomes text nodes, never HTML. Knows no messages. */

import { copyOf, h, morph } from "./dom.js";
import { parseBlocks, parseInline, settled } from "./markdown-parse.js";

/** @typedef {import("./markdown-parse.js").Block} Block */
/** @typedef {import("./markdown-parse.js").BlockBody} BlockBody */
/** @typedef {import("./markdown-parse.js").Inline} Inline */

const MAX_DEPTH = 8;

/** Who may be named with an `@`, and which of the names is the reader's. @type {{pattern: RegExp, me: string} | undefined} */
let names;
/** How deep in quotations we are: they address nobody. */
let quoted = 0;

/** Has mentions marked, as `webapp/web/mention_marks.py` does. @param {string[]} all @param {string} me */
export function markMentions(all, me) {
  const words = [...new Set([...all, me])].filter((word) => word.trim()).sort((one, other) => other.length - one.length);
  const escaped = words.map((word) => word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&").replace(/\s+/g, "\\s+"));
  const word = "\\p{L}\\p{N}_";
  names = { me: folded(me), pattern: new RegExp(`(?<![${word}@/])@(${escaped.join("|")})(?![${word}@]|[.\\-][${word}])`, "giu") };
}

/** @param {string} name */
const folded = (name) => name.toLowerCase().split(/\s+/).join(" ");

/** @param {string} text @returns {(Node | string)[]} */
function textNodes(text) {
  if (!names || quoted || !text.includes("@")) return [text];
  /** @type {(Node | string)[]} */
  const nodes = [];
  let at = 0;
  for (const match of text.matchAll(names.pattern)) {
    if (match.index > at) nodes.push(text.slice(at, match.index));
    nodes.push(h("span", { class: folded(match[1]) === names.me ? "mention me" : "mention" }, match[0]));
    at = match.index + match[0].length;
  }
  if (at < text.length) nodes.push(text.slice(at));
  return nodes;
}

/**
 * One growing text in one container. A block is final once the next one has begun; only the last is rendered again.
 */
export class MarkdownView {
  #container;
  #text = "";
  /** Where the last, open block begins in the text, and how many nodes stand before it. */
  #start = 0;
  #done = 0;
  /** @type {Block | undefined} */
  #open;

  /**
   * @param {Element} container
   * @param {string} [rendered] the text that the server has rendered into it
   */
  constructor(container, rendered = "") {
    this.#container = container;
    const blocks = parseBlocks(rendered);
    const last = blocks[blocks.length - 1];
    if (!last || blocks.length !== container.children.length) return;
    this.#text = rendered;
    this.#start = last.start;
    this.#done = blocks.length - 1;
  }

  /**
   * @param {string} text all of it
   * @param {boolean} growing whether more will come
   */
  update(text, growing) {
    if (!text.startsWith(this.#text)) {
      this.#start = this.#done = 0;
      this.#open = undefined;
    }
    this.#text = text;
    const tail = text.slice(this.#start);
    const blocks = parseBlocks(growing ? settled(tail) : tail);
    const { children } = this.#container;
    blocks.forEach((block, index) => {
      const open = growing && index === blocks.length - 1;
      const present = children[this.#done + index];
      if (!present) this.#container.append(blockNode(block, open));
      else patch(present, index ? undefined : this.#open, block, open);
    });
    while (children.length > this.#done + blocks.length) this.#container.lastElementChild?.remove();
    const last = blocks[blocks.length - 1];
    if (!last) return;
    this.#start += last.start;
    this.#done += blocks.length - 1;
    this.#open = last;
  }
}

/**
 * Brings the node of an open block up to date. Long blocks grow at their end: what stands before it is not touched.
 * @param {Element} node
 * @param {Block | undefined} was
 * @param {Block} block
 * @param {boolean} open
 */
function patch(node, was, block, open) {
  if (was?.kind === "list" && block.kind === "list" && was.loose === block.loose && was.items.length <= block.items.length) {
    const fresh = block.items.slice(was.items.length - 1);
    node.lastElementChild?.remove();
    node.append(...fresh.map((item, index) => itemNode(item, block.loose, open && index === fresh.length - 1, 0)));
  } else if (was?.kind === "code" && block.kind === "code" && was.lang === block.lang && block.text.startsWith(was.text)) {
    const text = node.querySelector("code")?.lastChild;
    if (text instanceof Text) text.appendData(block.text.slice(was.text.length));
  } else {
    morph(node, blockNode(block, open));
  }
}

/**
 * @param {BlockBody} block
 * @param {boolean} open
 * @param {number} [depth]
 * @returns {HTMLElement}
 */
function blockNode(block, open, depth = 0) {
  switch (block.kind) {
    case "paragraph":
      return h("p", {}, ...inlineNodes(block.text, open));
    case "heading":
      return h(`h${block.level}`, {}, ...inlineNodes(block.text, open));
    case "code":
      return codeNode(block.text, block.lang);
    case "quote":
      quoted++;
      try {
        return h("blockquote", {}, ...blockNodes(block.text, open, depth + 1));
      } finally {
        quoted--;
      }
    case "list": {
      const { items, first, loose, ordered } = block;
      const nodes = items.map((item, index) => itemNode(item, loose, open && index === items.length - 1, depth));
      return h(ordered ? "ol" : "ul", { start: ordered && first !== 1 && String(first) }, ...nodes);
    }
    case "table": {
      const rows = block.rows.map((row, index) => {
        const cells = row.map((cell, column) => {
          const align = block.align[column];
          return h(index ? "td" : "th", { class: align !== "" && `align-${align}` }, ...inlineNodes(cell, false));
        });
        return h("tr", {}, ...cells);
      });
      return h("table", {}, h("thead", {}, rows[0]), ...(rows[1] ? [h("tbody", {}, ...rows.slice(1))] : []));
    }
    case "rule":
      return h("hr");
  }
}

/** @param {string} text @param {boolean} open @param {number} depth */
function blockNodes(text, open, depth) {
  if (depth > MAX_DEPTH) return [document.createTextNode(text)];
  const blocks = parseBlocks(text);
  return blocks.map((block, index) => blockNode(block, open && index === blocks.length - 1, depth));
}

/** @param {string} text @param {boolean} loose @param {boolean} open @param {number} depth */
function itemNode(text, loose, open, depth) {
  const nodes = blockNodes(text, open, depth + 1);
  return h("li", {}, ...nodes.flatMap((node) => (!loose && node.nodeName === "P" ? [...node.childNodes] : [node])));
}

/** The server's frame for code; the colours come with its rendering. @param {string} text @param {string} lang */
function codeNode(text, lang) {
  const language = (/^[\w+#.-]{1,32}/.exec(lang)?.[0] ?? "").toLowerCase();
  const caption = h("figcaption", {}, h("span", { class: "lang" }, language), copyOf("[data-action=copy-code]"));
  return h("figure", { class: "code" }, caption, h("pre", {}, h("code", { class: language !== "" && `language-${language}` }, text)));
}

/** @param {string} text @param {boolean} open */
function inlineNodes(text, open) {
  return parseInline(text, open).flatMap((node) => inlineNode(node));
}

/** @param {Inline} node @param {boolean} [plain] @returns {(Node | string)[]} */
function inlineNode(node, plain = false) {
  if (typeof node === "string") return plain ? [node] : textNodes(node);
  if (node.kind === "br") return [h("br")];
  const children = node.children.flatMap((child) => inlineNode(child, plain || node.kind === "a" || node.kind === "code"));
  if (node.kind !== "a") return [h(node.kind, {}, ...children)];
  return [h("a", { href: node.href, rel: "noopener noreferrer nofollow ugc" }, ...children)];
}
