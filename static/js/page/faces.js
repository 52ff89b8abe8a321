/**
 * Who is in the chat, as the header shows it: a few faces, behind them the whole list; who types, in words; and who has
 * come or gone, for those who cannot see it. Loaded once somebody else is here.
 */

import { h, morph, styles } from "./dom.js";
import { initials } from "./rows.js";
import { announce } from "./status.js";

/** @typedef {import("./presence.js").Person} Person */

const MOST = 5;
const MOST_NARROW = 2;
/** How long somebody may be away before it is worth a word. */
const A_WHILE = 45_000;
/** In a larger room people come and go all the time. */
const SMALL_ROOM = 8;
/** Typing is forgotten even if nothing more is heard. */
const TYPING_ENDS = 6000;

/** @type {Record<string, string>} */
const ROLES = { view: "reads along", chat: "can chat", approve: "can approve", manage: "manages this chat" };

export class Faces {
  #options;
  #button = h("button", { class: "company", type: "button", popovertarget: "people", hidden: "" });
  #list = h("ul", { class: "people" });
  #box = h("div", { id: "people", class: "people-box", popover: "", "aria-label": "Who is here" }, h("p", { class: "people-title" }, "Here now"), this.#list);
  #styles = styles("people");
  /** Who was here at the last look, by id. @type {Map<string, Person> | undefined} */
  #known;
  /** Those who have left and may be back soon. @type {Map<string, ReturnType<typeof setTimeout>>} */
  #leaving = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #typing;

  /** @param {Pick<import("./presence.js").HereOptions, "me" | "onTyping">} options */
  constructor(options) {
    this.#options = options;
    document.querySelector(".bar-rest")?.after(this.#button, this.#box);
    this.#openOnHover();
  }

  /** @param {Person[]} people */
  async update(people) {
    const { me } = this.#options;
    const mine = (/** @type {Person} */ { participantId }) => participantId === me.id;
    // Others first: who I am is said elsewhere.
    const all = [...people.filter((one) => !mine(one)), ...people.filter(mine)];
    this.#type(people.filter((one) => one.typing && !mine(one)));
    this.#tell(people);
    const most = matchMedia("(width < 40rem)").matches ? MOST_NARROW : MOST;
    const shown = all.slice(0, all.length > most ? most : undefined);
    const stack = h("span", {}, ...shown.map((one) => face(one)), ...(all.length > most ? [h("span", { class: "face more" }, `+${all.length - most}`)] : []));
    this.#button.setAttribute("aria-label", `${all.length === 1 ? "1 person" : `${all.length} people`} here: ${all.map((one) => nameOf(one, mine(one))).join(", ")}`);
    const list = h("ul", { class: "people" }, ...all.map((one) => line(one, mine(one))));
    await this.#styles;
    morph(this.#list, list);
    const old = this.#button.firstChild;
    if (old) morph(old, stack);
    else this.#button.append(stack);
    this.#button.hidden = false;
  }

  /** A mouse that rests on the faces has the list, for as long as it is there; a press keeps it. */
  #openOnHover() {
    let hovered = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    for (const element of [this.#button, this.#box]) {
      element.addEventListener("pointerenter", ({ pointerType }) => {
        clearTimeout(timer);
        if (pointerType !== "mouse" || this.#box.matches(":popover-open")) return;
        timer = setTimeout(() => {
          hovered = true;
          this.#box.showPopover();
        }, 150);
      });
      element.addEventListener("pointerleave", () => {
        clearTimeout(timer);
        if (hovered) timer = setTimeout(() => this.#box.hidePopover(), 300);
      });
    }
    this.#button.addEventListener("click", (event) => {
      clearTimeout(timer);
      if (hovered) event.preventDefault();
      hovered = false;
    });
    this.#box.addEventListener("toggle", (event) => (hovered &&= /** @type {ToggleEvent} */ (event).newState === "open"));
  }

  /** @param {Person[]} people */
  #type(people) {
    clearTimeout(this.#typing);
    this.#options.onTyping(typingWords(people.map(({ name }) => name)));
    if (people.length) this.#typing = setTimeout(() => this.#options.onTyping(""), TYPING_ENDS);
  }

  /** Says who else has come, and who has been gone for a while. @param {Person[]} people */
  #tell(people) {
    const now = new Map(people.filter((one) => one.participantId !== this.#options.me.id).map((one) => [one.participantId, one]));
    const before = this.#known ?? now;
    this.#known = now;
    for (const [id, { name }] of now) {
      const back = this.#leaving.get(id);
      clearTimeout(back);
      this.#leaving.delete(id);
      if (!before.has(id) && !back && people.length <= SMALL_ROOM) announce(`${name} has joined`);
    }
    for (const [id, { name }] of before) {
      if (now.has(id) || this.#leaving.has(id)) continue;
      const left = () => {
        this.#leaving.delete(id);
        if ((this.#known?.size ?? 0) < SMALL_ROOM) announce(`${name} has left`);
      };
      this.#leaving.set(id, setTimeout(left, A_WHILE));
    }
  }
}

/** Who is typing, in words. @param {string[]} names */
export function typingWords(names) {
  const shown = names.length > 3 ? [...names.slice(0, 2), `${names.length - 2} more`] : [...names];
  const last = shown.pop();
  if (!last) return "";
  return shown.length ? `${shown.join(", ")} and ${last} are typing…` : `${last} is typing…`;
}

/** Where somebody has the chat open, in words. @param {Pick<Person, "devices" | "on">} person @param {boolean} mine */
export function placesOf({ devices, on }, mine) {
  if (mine) return devices > 1 ? `in this tab and ${devices - 1} more` : "in this tab";
  const kinds = [...new Set(on)].map((kind) => {
    const count = on.filter((each) => each === kind).length;
    return count > 1 ? `in ${count} tabs on a ${kind}` : `on a ${kind}`;
  });
  return kinds.join(" and ");
}

/** @param {Person} person @param {boolean} mine */
const nameOf = ({ name, state }, mine) => `${mine ? "you" : name}${state === "away" ? " (away)" : ""}`;

/** @param {Person} person */
function face({ name, hue, state, devices }) {
  const badge = devices > 1 ? [h("span", { class: "face-badge" }, String(devices))] : [];
  return h("span", { class: `face hue-${hue}`, "data-state": state, title: name, "aria-hidden": "true" }, h("span", { class: "avatar" }, initials(name)), ...badge);
}

/** @param {Person} person @param {boolean} mine */
function line(person, mine) {
  const { name, guest, role, state } = person;
  const marks = [mine && h("span", { class: "hint" }, "you"), guest && !mine && h("span", { class: "guest" }, "guest")].filter((each) => each !== false);
  const about = [state === "away" ? "away" : "", ROLES[role], placesOf(person, mine)].filter(Boolean).join(" · ");
  return h("li", { class: `person-line hue-${person.hue}` }, face(person), h("span", {}, h("span", { class: "name" }, name), ...marks, h("span", { class: "hint" }, about)));
}
