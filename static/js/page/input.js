/**
 * What people do on the page of a chat besides pressing its buttons: keys, signs that open a menu in the message box, and
 * reading on where the screen is small. What comes of it is loaded when it is first done.
 */

/** Pixels that are no movement yet. */
const FEW = 24;

/** @param {import("./page-session.js").PageSession} client @param {string} meId */
export function watchKeys(client, meId) {
  document.addEventListener("keydown", async (event) => {
    const { key, ctrlKey, metaKey, altKey, shiftKey, isComposing } = event;
    const target = /** @type {Element} */ (event.target);
    if (isComposing || altKey || document.querySelector("dialog[open], :popover-open")) return;
    if (key === "Escape") return stopMine(client, meId);
    const known = ctrlKey || metaKey ? shiftKey && /^[oc]$/i.test(key) : /^[/?jk]$/.test(key) && !target.matches("input, select, textarea");
    if (!known && !(/^Arrow(Up|Down)$/.test(key) && target.matches("article"))) return;
    event.preventDefault();
    (await import("./keyboard.js")).press(key.toLowerCase(), client);
  });
}

/** The last answer that this person asked for, and nobody else's. @param {import("./page-session.js").PageSession} client @param {string} meId */
function stopMine(client, meId) {
  const mine = client.messages.filter(({ metadata }) => metadata?.participantId === meId).map(({ id }) => id);
  const run = client.activeRuns.findLast((id) => mine.includes(client.runs[id]?.triggerId ?? ""));
  if (run) void client.stop(run);
}

/** @param {import("./room.js").Room} room @param {() => unknown} onInput */
export function watchSigns(room, onInput) {
  /** By the sign that opens it. @type {Record<string, (input: HTMLTextAreaElement) => Promise<unknown>>} */
  const menus = {
    "@": async (input) => (await import("./mention-menu.js")).watchMentions(input, room),
    "/": async (input) => (await import("./command-menu.js")).watchCommands(input, room.agents),
  };
  document.addEventListener("input", ({ target }) => {
    if (!(target instanceof HTMLTextAreaElement)) return;
    onInput();
    for (const sign in menus) {
      if (sign === "/" ? !target.value.startsWith(sign) : !target.value.includes(sign)) continue;
      const open = menus[sign];
      delete menus[sign];
      open(target).catch(() => (menus[sign] = open)); // the network may be back at the next one
    }
  });
}

/** On a small screen the header makes room while one reads on. @param {HTMLElement} page @param {Element} scroller @param {import("./autoscroll.js").Autoscroll} scrolling */
export function watchScrolling(page, scroller, scrolling) {
  let height = 0;
  const look = () => {
    const { scrollTop } = scroller;
    if (Math.abs(scrollTop - height) < FEW) return;
    page.toggleAttribute("data-reading", scrollTop > height && !scrolling.pinned);
    height = scrollTop;
  };
  scroller.addEventListener("scroll", look, { passive: true });
}
