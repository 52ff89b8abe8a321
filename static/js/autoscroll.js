/**
 * Keeps the end of the conversation in view while the reader is there, and never otherwise. The reader leaves by
 * any movement upwards and comes back by reaching the end; growing content is never taken for a movement.
 */

const NEAR = 80;

export class Autoscroll {
  #scroller;
  #onPin;
  #top = 0;
  #room = 0;
  #touchY = 0;
  pinned = true;

  /**
   * @param {HTMLElement} scroller
   * @param {HTMLElement} content
   * @param {() => void} onPin  whenever the reader leaves the end or returns
   */
  constructor(scroller, content, onPin) {
    this.#scroller = scroller;
    this.#onPin = onPin;
    const passive = { passive: true };
    scroller.addEventListener("wheel", (event) => event.deltaY < 0 && this.#leave(), passive);
    scroller.addEventListener("touchstart", (event) => (this.#touchY = event.touches[0].clientY), passive);
    scroller.addEventListener("touchmove", (event) => event.touches[0].clientY > this.#touchY && this.#leave(), passive);
    scroller.addEventListener("keydown", (event) => {
      const up = ["ArrowUp", "PageUp", "Home"].includes(event.key) || (event.key === " " && event.shiftKey);
      if (up && event.target === scroller) this.#leave();
    });
    scroller.addEventListener("scroll", () => this.#scrolled(), passive);
    const observer = new ResizeObserver(() => this.#follow());
    observer.observe(content);
    observer.observe(scroller);
    this.toEnd();
  }

  toEnd() {
    this.#pin(true);
    this.#follow();
  }

  /** Runs a change that adds content above, and leaves what is in view where it is. @param {() => void} change */
  keepPlace(change) {
    const end = this.#scroller.scrollHeight - this.#scroller.scrollTop;
    change();
    this.#scroller.scrollTop = this.#scroller.scrollHeight - end;
    this.#remember();
  }

  #follow() {
    if (this.pinned) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#remember();
  }

  #leave() {
    if (this.#scroller.scrollHeight > this.#scroller.clientHeight + 1) this.#pin(false);
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const room = scrollHeight - clientHeight;
    // Scrollbar, search in page, screen reader: upwards, though there is not less to scroll.
    if (scrollTop < this.#top - 1 && room >= this.#room) this.#pin(false);
    else if (scrollTop > this.#top && room - scrollTop <= NEAR) this.#pin(true);
    this.#remember();
  }

  #remember() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#top = scrollTop;
    this.#room = scrollHeight - clientHeight;
  }

  /** @param {boolean} pinned */
  #pin(pinned) {
    if (this.pinned === pinned) return;
    this.pinned = pinned;
    this.#onPin();
  }
}
