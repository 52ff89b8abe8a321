/** The message box: grows, sends on Enter where there is a keyboard, keeps the draft, is never disabled. */

import { byId } from "./dom.js";

export class Composer {
  #form = /** @type {HTMLFormElement} */ (byId("composer"));
  #input = /** @type {HTMLTextAreaElement} */ (byId("composer-input"));
  #draft;
  /** The message that is being written anew. @type {string | undefined} */
  #revised;
  #unsent = "";

  /**
   * @param {string} chatId @param {(text: string, editOf?: string) => void} send
   * @param {() => boolean} recall   edits what was sent last, if it can be; asked for by the up-arrow in an empty box
   */
  constructor(chatId, send, recall) {
    this.#draft = `draft:${chatId}`;
    const { matches: touch } = matchMedia("(pointer: coarse)");
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.#input.value;
      const revised = this.#revised;
      if (revised && !text.trim()) return;
      this.revise();
      if (text.trim()) send(text, revised);
    });
    this.#input.addEventListener("keydown", (event) => {
      const { key, shiftKey, isComposing, keyCode } = event;
      if (key === "ArrowUp" && !this.#input.value && recall()) event.preventDefault();
      if (key !== "Enter" || shiftKey || isComposing || keyCode === 229 || touch) return;
      event.preventDefault();
      this.#form.requestSubmit();
    });
    this.#input.addEventListener("input", () => this.#changed());
    this.#write(this.#input.value || sessionStorage.getItem(this.#draft) || "", !touch);
  }

  /** Puts text back, before what is being written. @param {string} [text] */
  restore(text = "") {
    this.#write([text, this.#input.value].filter(Boolean).join("\n"));
  }

  /** Writes a message anew: what is sent next is another version of it. Without one that is given up. @param {string} [id] @param {string} [text] */
  revise(id, text = "") {
    if (id && !this.#revised) this.#unsent = this.#input.value;
    this.#write(id ? text : this.#unsent);
    if (!id) this.#unsent = "";
    this.#revised = id;
    byId("revising").hidden = !id;
  }

  focus() {
    this.#input.focus();
  }

  /** @param {boolean} running whether a message would have to wait */
  set running(running) {
    const stop = byId("stop");
    if (!running && document.activeElement === stop) this.focus();
    stop.hidden = !running;
    const label = /** @type {Element} */ (this.#form.querySelector(".send-label"));
    label.textContent = running ? "Queue" : "Send";
    byId("send").title = running ? "Your message waits until the answer is finished" : "";
  }

  /** @param {string} text @param {boolean} [focus] */
  #write(text, focus = true) {
    this.#input.value = text;
    this.#changed();
    if (focus) this.#input.focus();
  }

  #changed() {
    sessionStorage.setItem(this.#draft, this.#input.value);
    // Where CSS cannot size the field by its content.
    this.#input.rows = Math.min(14, this.#input.value.split("\n").length);
  }
}
