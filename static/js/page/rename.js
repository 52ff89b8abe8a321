/** The title of the chat becomes a field: Enter or leaving it takes what was written, Escape does not. */

/** @param {HTMLElement} heading @param {(title: string) => Promise<unknown>} rename @param {string} [before] the title so far */
export function editTitle(heading, rename, before = heading.textContent ?? "") {
  const input = document.createElement("input");
  input.className = "bar-input";
  input.maxLength = 80;
  input.value = before;
  input.setAttribute("aria-label", "Title of this chat");
  heading.hidden = true;
  heading.after(input);
  input.select();
  return /** @type {Promise<void>} */ (
    new Promise((resolve, reject) => {
      let over = false;
      const end = (/** @type {boolean} */ taken) => {
        if (over) return;
        over = true;
        input.remove();
        heading.hidden = false;
        const title = input.value.trim();
        if (taken && title && title !== before) rename(title).then(() => resolve(), reject);
        else resolve();
      };
      input.addEventListener("blur", () => end(true));
      input.addEventListener("keydown", (event) => {
        const { key, isComposing } = event;
        if (isComposing || !["Enter", "Escape"].includes(key)) return;
        event.stopPropagation();
        end(key === "Enter");
      });
    })
  );
}
