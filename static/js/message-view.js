/**
 * One row of the transcript as nodes: the twin of `templates/partials/message.html`, the same elements with the
 * same attributes in the same order. Adopts what the server rendered, grows while text arrives, and in the end
 * takes over the server's fragment.
 */

import { h, morph, morphAttributes, morphChildren, tidy } from "./dom.js";
import { hue } from "./hue.js";
import { MarkdownView, copyButton } from "./markdown.js";

/** @typedef {import("./rows.js").Row} Row */
/** @typedef {import("./rows.js").Part} Part */
/** @typedef {import("./rows.js").Notice} Notice */

export class MessageView {
  /** @type {Map<Element, {markdown: MarkdownView, raw: string, growing: boolean}>} */
  #texts = new Map();
  /** Counts the changes, so that a fragment asked for before the last one is not believed. */
  version = 0;
  grouped = false;

  /** @param {Row} row @param {HTMLElement} [rendered] what the server has made of this row */
  constructor(row, rendered) {
    this.element = rendered ?? shell(row);
    if (rendered) this.#adopt(row);
    else this.update(row);
  }

  /** @param {Row} row */
  update(row) {
    this.version++;
    this.grouped = row.grouped;
    const fresh = shell(row);
    morphAttributes(this.element, fresh);
    for (const part of ["message-head", "notice", "message-foot"]) {
      const now = this.element.querySelector(`:scope > .${part}`);
      const next = fresh.querySelector(`:scope > .${part}`);
      if (now && next) morph(now, next);
      else if (next) this.element.insertBefore(next, this.element.querySelector(":scope > .message-foot"));
      else now?.remove();
    }
    const body = this.#body;
    if (!body) return;
    row.parts.forEach((part, index) => {
      const present = body.children[index];
      const growing = row.state === "streaming" && index === row.parts.length - 1;
      if (part.kind === "text") this.#text(body, present, part.raw, growing);
      else if (present) morph(present, partNode(part));
      else body.append(partNode(part));
    });
    while (body.children.length > row.parts.length) body.lastElementChild?.remove();
  }

  /** Takes over the server's rendering of this row. @param {HTMLElement} rendered @param {Row} row */
  settle(rendered, row) {
    finish(rendered);
    morphAttributes(this.element, rendered);
    morphChildren(this.element, rendered);
    this.#adopt(row);
  }

  get #body() {
    return this.element.querySelector(":scope > .message-body");
  }

  /** @param {Row} row */
  #adopt(row) {
    this.grouped = row.grouped;
    this.#texts.clear();
    row.parts.forEach((part, index) => {
      const element = this.#body?.children[index];
      const growing = row.state === "streaming" && index === row.parts.length - 1;
      if (part.kind === "text" && element) {
        this.#texts.set(element, { markdown: new MarkdownView(element, part.raw), raw: part.raw, growing });
      }
    });
  }

  /** @param {Element} body @param {Element | undefined} present @param {string} raw @param {boolean} growing */
  #text(body, present, raw, growing) {
    let element = present;
    if (!element?.classList.contains("part-text")) {
      element = h("div", { class: "part part-text", "hx-disable": "" });
      if (present) present.replaceWith(element);
      else body.append(element);
    }
    let text = this.#texts.get(element);
    if (!text) this.#texts.set(element, (text = { markdown: new MarkdownView(element), raw: "", growing: true }));
    if (text.raw === raw && text.growing === growing) return;
    text.markdown.update(raw, growing);
    Object.assign(text, { raw, growing });
  }
}

/** What the page adds to the server's rendering: the reader's own clock, and ways to copy. @param {HTMLElement} root */
export function finish(root) {
  tidy(root);
  for (const time of root.querySelectorAll("time")) time.textContent = clock(new Date(time.dateTime));
  for (const row of root.matches("article") ? [root] : root.querySelectorAll("article")) {
    row.setAttribute("aria-label", label(row.querySelector(".name")?.textContent ?? "", row.querySelector("time")?.textContent));
  }
  for (const caption of root.querySelectorAll(".code > figcaption")) {
    if (!caption.querySelector("button")) caption.append(copyButton("Copy code"));
  }
  for (const link of root.querySelectorAll(".part-text a")) link.setAttribute("target", "_blank");
}

/** A row without its parts. @param {Row} row */
function shell(row) {
  const { id, notice, createdAt } = row;
  const created = createdAt === undefined ? null : new Date(createdAt);
  const kind = `${row.person ? "person" : "agent"}${row.mine ? " mine" : ""}${row.grouped ? " grouped" : ""}`;
  const attributes = {
    class: `message ${kind} hue-${hue(row.speaker)}`,
    "data-message-id": id,
    "data-run-id": row.runId,
    "data-state": row.state,
    "aria-label": label(row.name, created && clock(created)),
    "data-delivery": row.delivery,
  };
  const head = h("header", { class: "message-head" }, h("span", { class: "dot", "aria-hidden": "true" }), h("span", { class: "name" }, row.name));
  const article = h("article", attributes, head);
  if (id !== undefined) article.append(h("div", { class: "message-body" }));
  if (notice) article.append(noticeNode(notice));
  if (id !== undefined) {
    const time = created ? [h("time", { datetime: created.toISOString().slice(0, 19) + "+00:00" }, clock(created))] : [];
    article.append(h("footer", { class: "message-foot" }, ...time, h("button", { class: "copy", type: "button", "data-action": "copy", "aria-label": "Copy message" })));
  }
  return article;
}

/** @param {Notice} notice */
function noticeNode({ kind, text, retry }) {
  /** @param {string} name @param {string} action */
  const button = (name, action) => h("button", { class: "text-button", type: "button", "data-action": action }, name);
  const unsent = kind === "unsent";
  const buttons = unsent ? [button("Retry", "resend"), button("Edit", "edit")] : retry ? [button("Retry", "retry")] : [];
  return h("div", { class: "notice", "data-kind": kind }, h("span", {}, text), ...buttons);
}

/** @type {Record<string, string>} */
const TOOL_STATES = { running: "running", done: "done", error: "failed", "awaiting-approval": "waiting", unknown: "no result" };

/** @param {Exclude<Part, {kind: "text"}>} part */
function partNode(part) {
  /** @param {string} text */
  const data = (text) => h("pre", { class: "data" }, h("code", {}, text));
  /** @param {string} name @param {string} text */
  const p = (name, text) => h("p", { class: name }, text);
  switch (part.kind) {
    case "thinking":
      return h("details", { class: "part part-thinking" }, h("summary", {}, "Thoughts"), h("div", { class: "thoughts" }, part.text));
    case "structured":
      return h("pre", { class: "part part-data data" }, h("code", {}, part.json));
    case "unsupported":
      return p("part part-unsupported", part.label);
  }
  const call = { "data-tool-call-id": part.id, "data-state": part.state };
  if (part.approval) {
    const why = part.approval.message || part.approval.reason || "This needs somebody’s consent before it runs.";
    const who = p("hint", "Only the owner, or somebody with the right to approve, can decide.");
    const card = [p("approval-title", "Waiting for approval"), p("approval-text", why), p("approval-call", part.name), data(part.arguments), who];
    return h("section", { class: "part part-approval", ...call, "aria-label": "Waiting for approval" }, ...card);
  }
  const line = [
    h("span", { class: "tool-name" }, part.name),
    h("span", { class: "tool-summary" }, part.summary),
    h("span", { class: "tool-state" }, TOOL_STATES[part.state] ?? part.state),
  ];
  const result = part.result === null ? [] : [p("tool-label", "Result"), data(part.result)];
  const detail = h("div", { class: "tool-detail" }, p("tool-label", "Arguments"), data(part.arguments), ...result);
  return h("details", { class: "part part-tool", ...call }, h("summary", {}, ...line), detail);
}

/** @param {string} name @param {string | null} [time] */
const label = (name, time) => (time ? `${name}, ${time}` : name);

/** @param {Date} date */
function clock(date) {
  const today = date.toDateString() === new Date().toDateString();
  return date.toLocaleString([], { ...(!today && { day: "numeric", month: "short" }), hour: "2-digit", minute: "2-digit" });
}
