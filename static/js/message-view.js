/**
 * One row of the transcript as nodes: the twin of `templates/partials/message.html`, the same elements with the
 * same attributes in the same order. Adopts what the server rendered, grows while text arrives, and takes over the
 * server's rendering of what is finished.
 */

import { h, morph, morphAttributes, tidy } from "./dom.js";
import { hue } from "./hue.js";
import { MarkdownView, copyButton } from "./markdown.js";

/** @typedef {import("./rows.js").Row} Row */
/** @typedef {import("./rows.js").Part} Part */

export class MessageView {
  /** What each part shows. @type {{shown: string, markdown?: MarkdownView}[]} */
  #parts = [];
  grouped = false;
  /** Counts the changes, so that a rendering asked for before the last one is not believed. */
  version = 0;

  /** @param {Row} row @param {HTMLElement} [rendered] what the server has made of this row */
  constructor(row, rendered) {
    this.element = rendered ?? shell(row);
    this.grouped = row.grouped;
    if (rendered) this.#adopt(row);
  }

  /** @param {Row} row @returns {boolean} whether the server can now render more of this row than we can */
  update(row) {
    this.version++;
    this.grouped = row.grouped;
    const fresh = shell(row);
    morphAttributes(this.element, fresh);
    for (const name of ["head", "notice", "foot"]) {
      const now = this.#child(name);
      const next = fresh.querySelector(`:scope > .message-${name}`);
      if (now && next) morph(now, next);
      else if (next) this.element.insertBefore(next, this.#child("foot"));
      else now?.remove();
    }
    const body = this.#child("body");
    if (!body) return false;
    const ended = row.parts.map((part, index) => this.#update(body, part, index, isGrowing(row, index)));
    while (body.children.length > row.parts.length) body.lastElementChild?.remove();
    this.#parts.length = row.parts.length;
    return row.state !== "streaming" || ended.includes(true);
  }

  /**
   * Takes over the server's rendering: of the whole row, or, while it is written, of its tools.
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

  /** @param {string} name */
  #child(name) {
    return this.element.querySelector(`:scope > .message-${name}`);
  }

  /** @param {Row} row */
  #adopt(row) {
    this.grouped = row.grouped;
    const body = this.#child("body");
    this.#parts = row.parts.map((part, index) => {
      const element = body?.children[index];
      const markdown = part.kind === "text" && element ? new MarkdownView(element, part.text) : undefined;
      return { shown: signature(part, isGrowing(row, index)), markdown };
    });
  }

  /**
   * @param {Element} body
   * @param {Part} part
   * @param {number} index
   * @param {boolean} growing
   * @returns {boolean} whether this part is a tool call that got further
   */
  #update(body, part, index, growing) {
    const known = this.#parts[index];
    const shown = signature(part, growing);
    if (known?.shown === shown) return false;
    const present = body.children[index];
    const call = part.kind === "tool" && present?.getAttribute("data-tool-call-id") === part.id;
    let markdown = known?.markdown;
    if (part.kind === "tool" && call) {
      present.setAttribute("data-state", part.state);
      morph(/** @type {Element} */ (present.querySelector(".tool-state") ?? present), toolState(part.state));
    } else if (!markdown || part.kind !== "text") {
      const node = partNode(part);
      markdown = part.kind === "text" ? new MarkdownView(node) : undefined;
      if (!present) body.append(node);
      else if (markdown) present.replaceWith(node);
      else morph(present, node);
    }
    markdown?.update(part.text, growing);
    this.#parts[index] = { shown, markdown };
    return call;
  }
}

/** What the page adds to the server's rendering: the reader's own clock, and ways to copy. @param {HTMLElement} root */
export function finish(root) {
  tidy(root);
  for (const time of root.querySelectorAll("time")) time.textContent = clock(new Date(time.dateTime));
  for (const row of root.matches("article") ? [root] : root.querySelectorAll("article")) {
    const [name, time] = [".name", "time"].map((selector) => row.querySelector(selector)?.textContent);
    row.setAttribute("aria-label", label(name, time));
  }
  for (const caption of root.querySelectorAll(".code > figcaption:not(:has(button))")) caption.append(copyButton("Copy code", "copy-code"));
  for (const link of root.querySelectorAll(".part-text a")) link.setAttribute("target", "_blank");
}

/** @param {Row} row @param {number} index */
const isGrowing = (row, index) => row.state === "streaming" && index === row.parts.length - 1;

/** @param {Part} part @param {boolean} growing */
const signature = (part, growing) => (part.kind === "tool" ? part.id + part.step : (growing ? "+" : "-") + part.text);

/** A row without its parts. @param {Row} row */
function shell(row) {
  const { id, notice, createdAt } = row;
  const created = typeof createdAt === "number" ? new Date(createdAt) : undefined;
  const time = created && clock(created);
  const attributes = {
    class: `message ${row.person ? "person" : "agent"}${row.mine ? " mine" : ""}${row.grouped ? " grouped" : ""} hue-${hue(row.speaker)}`,
    "data-message-id": id,
    "data-run-id": row.runId,
    "data-state": row.state,
    "aria-label": label(row.name, time),
    "data-delivery": row.delivery,
  };
  const head = h("header", { class: "message-head" }, h("span", { class: "dot", "aria-hidden": "true" }), h("span", { class: "name" }, row.name));
  const article = h("article", attributes, head);
  if (id) article.append(h("div", { class: "message-body" }));
  if (notice) {
    const buttons = notice.actions.map(([text, action]) => h("button", { class: "text-button", type: "button", "data-action": action }, text));
    article.append(h("div", { class: "message-notice notice", "data-kind": notice.kind }, h("span", {}, notice.text), ...buttons));
  }
  if (id) {
    const foot = h("footer", { class: "message-foot" });
    if (time) foot.append(h("time", { datetime: `${created?.toISOString().slice(0, 19)}+00:00` }, time));
    foot.append(copyButton("Copy message", "copy"));
    article.append(foot);
  }
  return article;
}

/** @param {Part} part */
function partNode({ kind, text, ...tool }) {
  if (kind === "text") return h("div", { class: "part part-text", "hx-disable": "" });
  if (kind === "thinking") return h("details", { class: "part part-thinking" }, h("summary", {}, "Thoughts"), h("div", { class: "thoughts" }, text));
  if (kind === "data") return h("pre", { class: "part part-data data" }, h("code", {}, text));
  const { id, state } = /** @type {{id: string, state: string}} */ (tool);
  const line = h("summary", {}, h("span", { class: "tool-name" }, text), h("span", { class: "tool-summary" }), toolState(state));
  return h("details", { class: "part part-tool", "data-tool-call-id": id, "data-state": state }, line);
}

/** @param {string} state */
const toolState = (state) => h("span", { class: "tool-state" }, state === "error" ? "failed" : state);

/** @param {string | null} [name] @param {string | null} [time] */
const label = (name, time) => [name, time].filter(Boolean).join(", ");

/** @param {Date} date */
function clock(date) {
  const today = date.toDateString() === new Date().toDateString();
  return date.toLocaleString([], { ...(!today && { day: "numeric", month: "short" }), hour: "2-digit", minute: "2-digit" });
}
