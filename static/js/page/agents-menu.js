/** The menu of the server's agents: who is in this chat, and a switch for each. Loaded when it is first opened. */

import { byId } from "./dom.js";
import { agentsOf } from "./room.js";

/** @param {import("./room.js").Room} room */
export function fillMenu(room) {
  const { client, say } = room;
  const box = byId("agents");

  function show() {
    const here = new Map(agentsOf(room).map(({ id, present }) => [id, present]));
    for (const button of box.querySelectorAll("button")) button.setAttribute("aria-checked", String(here.get(button.value)));
  }

  box.addEventListener("click", async ({ target }) => {
    const button = /** @type {Element} */ (target).closest("button");
    if (!button || button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    try {
      const present = button.getAttribute("aria-checked") !== "true";
      await client.moveAgent(button.value, present);
    } catch (error) {
      say(/** @type {Error} */ (error).message);
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
  client.addEventListener("change", show);
  show();
}
