/** The message box: grows, sends on Enter where there is a keyboard, keeps the draft, is never disabled. */

import { byId } from "./dom.js";

export class Composer {
  #form = /** @type {HTMLFormElement} */ (byId("composer"));
  #input = /** @type {HTMLTextAreaElement} */ (byId("composer-input"));
  #draft;

  /** @param {string} chatId @param {(text: string) => void} send */
  constructor(chatId, send) {
    this.#draft = `draft:${chatId}`;
    const { matches: touch } = matchMedia("(pointer: coarse)");
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.#input.value;
      this.#write("");
      if (text.trim()) send(text);
    });
    this.#input.addEventListener("keydown", (event) => {
      const { key, shiftKey, isComposing, keyCode } = event;
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
