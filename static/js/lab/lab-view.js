/** One lane of the transport lab on the page: its numbers, its verdict and what it brought. */

import { Autoscroll } from "../page/autoscroll.js";
import { byId } from "../page/dom.js";

/** @import {Lane} from "./lab-lanes.js" */
/** @import {Verdict} from "./lab-verdict.js" */

/** @param {number} bytes */
const size = (bytes) =>
  bytes < 1_000 ? `${bytes} B` : `${(bytes / 1_000).toLocaleString("en", { maximumFractionDigits: 1 })} kB`;

export class LaneView {
  #text = document.createTextNode("");

  /** @param {string} name */
  constructor(name) {
    const title = byId(`lane-${name}`);
    this.title = title.firstChild?.textContent?.trim() ?? name;
    this.root = /** @type {HTMLElement} */ (title.parentElement);
    const said = /** @type {HTMLElement} */ (this.root.querySelector(".said"));
    const text = /** @type {HTMLElement} */ (said.firstElementChild);
    text.append(this.#text);
    new Autoscroll(said, text, () => {});
  }

  /** What is known without the log. @param {Lane} lane */
  show({ answer, traffic }) {
    this.#count("arrived", answer.text.length);
    this.#count("connections", traffic.connections);
    this.#count("received", traffic.bytes, size(traffic.bytes));
    const news = answer.text.slice(this.#text.length);
    if (news) this.#text.appendData(news);
  }

  /** @param {Verdict} verdict */
  tell({ state, sentence, lost, twice }) {
    this.root.dataset.state = state;
    const text = /** @type {Element} */ (this.root.querySelector(".verdict-text"));
    if (text.textContent !== sentence) text.textContent = sentence;
    this.#count("lost", lost);
    this.#count("twice", twice);
  }

  /** @param {string} name @param {number} value @param {string} [shown] */
  #count(name, value, shown = value.toLocaleString("en")) {
    const data = /** @type {HTMLDataElement} */ (this.root.querySelector(`[data-count="${name}"]`));
    if (data.value === String(value)) return;
    data.value = String(value);
    data.textContent = shown;
  }
}
