/* Runs before the first paint: the chosen theme, the hidden sidebar, the end of the conversation in view or what is new
   in it, and the list of chats by the reader's clock.
   A plain script, because modules come too late for that. */
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  root.dataset.theme = localStorage.theme ?? "";
  root.dataset.sidebar = localStorage.sidebar ?? "";
  document.cookie = `tz=${new Date().getTimezoneOffset()};path=/;max-age=31536000;samesite=lax`;

  document.addEventListener("readystatechange", () => {
    if (document.readyState !== "interactive") return;
    const scroller = document.getElementById("scroller");
    const at = new URLSearchParams(location.search).has("at");
    if (scroller?.querySelector("article") && !at) {
      scroller.scrollTop = scroller.scrollHeight;
      const { read = "" } = document.getElementById("chat")?.dataset ?? {};
      /** @type {HTMLElement | null} */
      let row = scroller.querySelector(`[data-message-id="${CSS.escape(read)}"]`);
      while (row && (row.matches(".mine") || !row.dataset.messageId || row.dataset.messageId === read)) row = /** @type {HTMLElement | null} */ (row.nextElementSibling);
      if (row) {
        const line = document.createElement("p");
        line.className = "unread";
        line.setAttribute("role", "separator");
        line.textContent = "New since you were here";
        row.before(line);
        line.scrollIntoView();
      }
    }
    for (const time of document.querySelectorAll("nav time")) {
      const date = new Date(time.getAttribute("datetime") ?? "");
      const today = date.toDateString() === new Date().toDateString();
      time.textContent = date.toLocaleString([], today ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short" });
    }
  });
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    if (button?.id === "theme") {
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = localStorage.theme = dark ? "light" : "dark";
    } else if (button?.dataset.action === "me") {
      void import("./me.js").then(({ openMe }) => openMe());
    } else if (button?.dataset.action === "copy-id") {
      getSelection()?.selectAllChildren(/** @type {Element} */ (button.previousElementSibling));
      if (document.execCommand("copy")) button.textContent = "Copied";
    } else if (button?.dataset.action === "sidebar" && matchMedia("(width >= 56rem)").matches) {
      event.preventDefault();
      root.dataset.sidebar = localStorage.sidebar = root.dataset.sidebar ? "" : "closed";
    }
  });
})();
