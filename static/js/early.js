/* Runs before the first paint: the chosen theme, the hidden sidebar, the end of the conversation in view, and the
   list of chats by the reader's clock.
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
    if (scroller?.querySelector("article")) scroller.scrollTop = scroller.scrollHeight;
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
    } else if (button?.dataset.action === "sidebar" && matchMedia("(width >= 56rem)").matches) {
      event.preventDefault();
      root.dataset.sidebar = localStorage.sidebar = root.dataset.sidebar ? "" : "closed";
    }
  });
})();
