/**
 * The strip above the composer: who waits with what, and what can be done about it. Loaded when something waits.
 * Owns its rows. What waits it is told; what it asks for, everybody sees by the stream and so does it.
 */

import { h } from "./dom.js";
import { personHue } from "./rows.js";

/** @typedef {import("../types.js").Message} Message */
/**
 * @typedef {object} Options
 * @property {HTMLElement} place             the strip comes right after it
 * @property {(change: object) => Promise<unknown>} [ask]   for a change; none: who reads along asks for nothing
 * @property {(text: string) => void} restore  takes what was typed and has no message any more
 * @property {(text: string) => void} say      tells what went wrong
 */

const WORDS = 160;

export class QueueStrip {
  #options;
  #list = h("ul", { id: "queue", class: "queue", "aria-label": "Waiting messages" });
  /** @type {Map<string, Item>} */
  #items = new Map();

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    options.place.after(this.#list);
  }

  /** @param {Message[]} messages   what waits, in its order */
  update(messages) {
    const gone = new Set(this.#items.keys());
    for (const message of messages) {
      gone.delete(message.id);
      const item = this.#items.get(message.id);
      if (item) item.update(message);
      else this.#add(message);
    }
    for (const id of gone) {
      this.#items.get(id)?.leave();
      this.#items.delete(id);
    }
    this.#list.hidden = !this.#items.size;
  }

  /** Opens the message for editing. @param {string} id @returns {boolean} whether it waits */
  edit(id) {
    this.#items.get(id)?.edit();
    return this.#items.has(id);
  }

  /** @param {Message} message */
  #add(message) {
    const { ask: request, restore, say } = this.#options;
    /** @param {object} change */
    const ask = async (change) => {
      try {
        await request?.({ messageId: message.id, ...change });
        return true;
      } catch (error) {
        say(/** @type {Error} */ (error).message);
        return false;
      }
    };
    const item = new Item(message, { ask: request && ask, restore });
    this.#items.set(message.id, item);
    this.#list.append(item.element);
  }
}

class Item {
  element = h("li", { class: "queue-item" });
  #message;
  #ask;
  #restore;
  #text = h("span", { class: "queue-text", dir: "auto" });
  #buttons = h("span", { class: "queue-buttons" });
  /** While it is being edited. @type {HTMLTextAreaElement | undefined} */
  #field;

  /** @param {Message} message @param {{ask?: (change: object) => Promise<boolean>, restore: (text: string) => void}} options */
  constructor(message, { ask, restore }) {
    this.#message = message;
    this.#ask = ask;
    this.#restore = restore;
    const name = message.name || "Guest";
    const colour = personHue(message.metadata ?? {}, message.metadata?.participantId || name);
    this.element.dataset.messageId = message.id;
    this.element.append(
      h("span", { class: "queue-label" }, "Waiting"),
      h("span", { class: `queue-name hue-${colour}` }, name),
      this.#text,
      this.#buttons,
    );
    this.#close();
    this.update(message);
  }

  /** @param {Message} message */
  update(message) {
    this.#message = message;
    const text = textOf(message);
    const shown = text.length > WORDS ? `${text.slice(0, WORDS)}…` : text;
    if (this.#text.textContent !== shown) this.#text.textContent = shown;
  }

  edit() {
    if (!this.#ask) return;
    if (!this.#field) {
      const field = /** @type {HTMLTextAreaElement} */ (h("textarea", { class: "queue-field", "aria-label": "Edit the waiting message", dir: "auto" }));
      field.value = textOf(this.#message);
      field.rows = Math.min(6, field.value.split("\n").length);
      field.addEventListener("keydown", (event) => {
        if (event.isComposing || event.keyCode === 229) return;
        if (event.key === "Escape") this.#close(true);
        else if (event.key === "Enter" && !event.shiftKey) void this.#save();
        else return;
        event.preventDefault();
        event.stopPropagation(); // Escape also stops an answer
      });
      this.#field = field;
      this.#text.replaceWith(field);
      this.#show(["Save", () => this.#save()], ["Cancel", () => this.#close(true)]);
    }
    this.#field.focus();
    this.#field.setSelectionRange(-1, -1);
  }

  /** The message waits no more. What was being typed into it is not lost. */
  leave() {
    const typed = this.#field?.value ?? "";
    this.element.remove();
    if (typed.trim() && typed !== textOf(this.#message)) this.#restore(typed);
  }

  async #save() {
    const text = this.#field?.value ?? "";
    if (!text.trim()) return;
    if (text === textOf(this.#message) || (await this.#change({ action: "edit", text }))) this.#close(true);
  }

  /** @param {object} change */
  async #change(change) {
    this.element.inert = true;
    const done = await this.#ask?.(change);
    this.element.inert = false;
    return done;
  }

  /** @param {boolean} [focus] */
  #close(focus = false) {
    this.#field?.replaceWith(this.#text);
    this.#field = undefined;
    if (!this.#ask) return;
    this.#show(
      ["Edit", () => this.edit()],
      ["Drop", () => this.#change({ action: "drop" }), "Take the message back"],
      ["Steer now", () => this.#change({ action: "steer" }), "Stop the answer and take this message next"],
    );
    if (focus) document.getElementById("composer-input")?.focus();
  }

  /** @param {...[string, () => unknown, string?]} buttons */
  #show(...buttons) {
    const made = buttons.map(([label, act, title = label]) => {
      const button = h("button", { class: "text-button", type: "button", title }, label);
      button.addEventListener("click", () => void act());
      return button;
    });
    this.#buttons.replaceChildren(...made);
  }
}

/** @param {Message} message */
const textOf = ({ parts }) => parts.flatMap(({ type, content }) => (type === "text" ? content : [])).join("\n");
