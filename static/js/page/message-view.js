/**
 * One row of the transcript as nodes. Adopts what the server rendered, grows while text arrives, and takes over the
 * server's rendering of what is finished. New rows are copies of the page's `<template id="blank">`, which comes
 * from the same `message.html` as the server's rows.
 */

import { copyOf, h, morph, styles } from "./dom.js";
import { initials, noteText } from "./rows.js";

/** @typedef {import("./rows.js").Row} Row */
/** @typedef {import("./rows.js").Part} Part */

/** @typedef {Pick<import("./markdown.js").MarkdownView, "update">} TextView */

/** Plain text, where Markdown cannot be had. @type {new (container: Element, rendered?: string) => TextView} */
let Markdown = class {
  #container;

  /** @param {Element} container */
  constructor(container) {
    this.#container = container;
  }

  /** @param {string} text */
  update(text) {
    this.#container.replaceChildren(h("p", {}, text));
  }
};

/** Loads what renders text that arrives. The server renders what has arrived. @param {string[]} [names] who may be mentioned @param {string} [me] */
export async function loadMarkdown(names = [], me = "") {
  const { MarkdownView, markMentions } = await import("./markdown.js");
  markMentions(names, me);
  Markdown = MarkdownView;
}

export class MessageView {
  /** What each part shows, and the text that the server rendered. @type {{shown: string, text?: string, markdown?: TextView}[]} */
  #parts = [];
  /** Counts the changes, so that a rendering asked for before the last one is not believed. */
  version = 0;

  /** @param {Row} row @param {HTMLElement} [rendered] what the server has made of this row */
  constructor(row, rendered) {
    this.element = rendered ?? shell(row);
    this.grouped = row.grouped;
    this.place = row.place;
    if (rendered) this.#adopt(row);
  }

  /** @param {Row} row @returns {boolean} whether the server can now render more of this row than we can */
  update(row) {
    this.version++;
    this.grouped = row.grouped;
    this.place = row.place;
    const body = this.#body;
    morph(this.element, shell(row), body);
    if (!body) return false;
    const further = row.parts.map((part, index) => this.#update(body, part, index, isGrowing(row, index)));
    while (body.children.length > row.parts.length) body.lastElementChild?.remove();
    this.#parts.length = row.parts.length;
    return row.state !== "streaming" || further.includes(true);
  }

  /**
   * Takes over the server's rendering: of the whole row or, while it is being written, of its tools.
   * @param {HTMLElement} rendered
   * @param {Row} row
   */
  settle(rendered, row) {
    finish(rendered);
    if (row.state !== "streaming") {
      morph(this.element, rendered);
      this.#adopt(row);
      return;
    }
    for (const tool of rendered.querySelectorAll("[data-tool-call-id]")) {
      const id = CSS.escape(tool.getAttribute("data-tool-call-id") ?? "");
      const present = this.element.querySelector(`[data-tool-call-id="${id}"]`);
      if (present) morph(present, tool);
    }
  }

  get #body() {
    return this.element.querySelector(".message-body");
  }

  /** @param {Row} row */
  #adopt(row) {
    this.#parts = row.parts.map((part, index) => ({
      shown: signature(part, isGrowing(row, index)),
      text: part.kind === "text" ? part.text : undefined,
    }));
  }

  /**
   * @param {Element} body
   * @param {Part} part
   * @param {number} index
   * @param {boolean} growing
   * @returns {boolean} whether this is a tool call that got further
   */
  #update(body, part, index, growing) {
    const known = this.#parts[index];
    const shown = signature(part, growing);
    if (known?.shown === shown) return false;
    let node = body.children[index];
    let { markdown } = known ?? {};
    if (node && known?.text !== undefined) markdown ??= new Markdown(node, known.text);
    const same = node && (part.kind === "text" ? markdown : part.kind === "tools" ? node.matches(".part-tools") : part.id === node.getAttribute("data-tool-call-id"));
    if (!same) {
      const fresh = copyOf(`.part-${part.kind}`);
      if (node) node.replaceWith(fresh);
      else body.append(fresh);
      node = fresh;
      markdown = part.kind === "text" ? new Markdown(node) : undefined;
    }
    if (markdown) markdown.update(part.text, growing);
    else if (part.kind === "tool") fillTool(node, part);
    else if (part.tools) fillTools(node, part.text, part.tools);
    else fill(node, "div, code", part.text);
    this.#parts[index] = { shown, markdown };
    return part.kind.startsWith("tool");
  }
}

/** What the page adds to the server's rendering: the reader's own clock, and ways to copy. @param {HTMLElement} root */
export function finish(root) {
  for (const time of root.querySelectorAll("time")) {
    const row = /** @type {Element} */ (time.closest("article"));
    if (time.closest("footer")) tell(row, time.dateTime);
    else time.textContent = clock(time.dateTime);
  }
  if (root.querySelector(".code")) void styles("code");
  for (const caption of root.querySelectorAll(".code > figcaption:not(:has(button))")) caption.append(copyOf("[data-action=copy-code]"));
}

/** @param {Row} row @param {number} index */
const isGrowing = (row, index) => row.state === "streaming" && index === row.parts.length - 1;

/** @param {Part} part @param {boolean} growing */
const signature = (part, growing) =>
  part.kind.startsWith("tool") ? JSON.stringify(part) : [part.kind, part.kind === "text" && growing, part.text].join();

/** @param {Element} root @param {string} selector @param {string} text */
function fill(root, selector, text) {
  const element = root.querySelector(selector);
  if (element) element.textContent = text;
}

/** Only its name and state: the arguments and the result come with the server's rendering. @param {Element} node @param {Part} part */
function fillTool(node, { id, state, text }) {
  set(node, { "data-tool-call-id": id, "data-state": state });
  fill(node, ".tool-name", text);
  fill(node, ".tool-state", state ?? "");
}

/** @param {Element} node @param {string} label @param {Part[]} tools */
function fillTools(node, label, tools) {
  fill(node, ".tools-label", label);
  const list = /** @type {Element} */ (node.querySelector(".tools-list"));
  while (list.children.length > tools.length) list.lastElementChild?.remove();
  tools.forEach((tool, index) => {
    let line = list.children[index];
    if (line?.getAttribute("data-tool-call-id") !== tool.id) {
      const fresh = copyOf(".part-tool");
      if (line) line.replaceWith(fresh);
      else list.append(fresh);
      line = fresh;
    }
    fillTool(line, tool);
  });
}

/** @param {Element} element @param {Record<string, string | undefined>} attributes undefined: none */
function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined) element.removeAttribute(name);
    else element.setAttribute(name, value);
  }
}

/** A row without its parts. @param {Row} row */
function shell({ id, person, mine, guest, grouped, colour, name, runId, state, delivery, createdAt, notice, note, versions, canEdit, canRegenerate }) {
  if (note) {
    const line = copyOf(".note");
    set(line, { "data-note-id": note.id, "data-kind": note.kind });
    line.textContent = noteText(note);
    return line;
  }
  const article = copyOf(id ? "article" : "article:not([data-message-id])");
  article.className = `message ${person ? "person" : "agent"}${mine ? " mine" : ""}${grouped ? " grouped" : ""} hue-${colour}`;
  set(article, { "data-message-id": id, "data-run-id": runId, "data-state": state, "aria-label": name, "data-delivery": delivery });
  fill(article, ".name", name);
  const mark = /** @type {Element} */ (article.querySelector(".dot"));
  if (person) {
    mark.className = "avatar";
    mark.textContent = initials(name);
  }
  if (!guest) article.querySelector(".guest")?.remove();
  if (typeof createdAt === "number") tell(article, new Date(createdAt).toISOString().slice(0, 19) + "+00:00");
  else article.querySelector("footer time")?.remove();
  if (!canEdit) article.querySelector(".revise")?.remove();
  if (!canRegenerate) article.querySelector(".regenerate")?.remove();
  tellVersions(article.querySelector(".versions"), versions);
  const place = /** @type {Element} */ (article.querySelector(".notice"));
  if (!notice) place.remove();
  else {
    const { kind, text, retry, goOn } = notice;
    const node = kind === "unsent" ? copyOf("[data-kind=unsent]") : place;
    node.setAttribute("data-kind", kind);
    fill(node, "span", text);
    if (!retry) node.querySelector("[data-action=retry]")?.remove();
    if (!goOn) node.querySelector("[data-action=continue]")?.remove();
    place.replaceWith(node);
  }
  return article;
}

/** @param {Element | null} place @param {import("./rows.js").Versions} [versions] */
function tellVersions(place, versions) {
  if (!place || !versions) return place?.remove();
  const { group, position, count, previous, next, version, pinned } = versions;
  set(place, { "data-group": group });
  fill(place, ".version-count", `${position} / ${count}`);
  const [before, after, pin] = place.querySelectorAll("button");
  set(before, { value: previous ?? "", disabled: previous ? undefined : "" });
  set(after, { value: next ?? "", disabled: next ? undefined : "" });
  set(pin, { value: version, "aria-pressed": String(pinned) });
  pin.textContent = pinned ? "Shown to everyone" : "Show to everyone";
}

/** Puts a time on a row, by the reader's clock. @param {Element} row @param {string} iso */
function tell(row, iso) {
  const text = clock(iso);
  row.setAttribute("aria-label", `${row.querySelector(".name")?.textContent}, ${text}`);
  const time = row.querySelector("footer time");
  time?.setAttribute("datetime", iso);
  fill(row, "footer time", text);
}

/** A time by the reader's clock. @param {string} iso */
function clock(iso) {
  const date = new Date(iso);
  const today = date.toDateString() === new Date().toDateString();
  return date.toLocaleString([], { ...(!today && { day: "numeric", month: "short" }), hour: "2-digit", minute: "2-digit" });
}
