/**
 * Keeps the end of the conversation in view while the reader is there, and never otherwise. The reader leaves by
 * any movement upwards and comes back by reaching the end; growing content is never taken for a movement.
 */

const NEAR = 80;

export class Autoscroll {
  #scroller;
  #content;
  #onPin;
  #top = 0;
  #room = 0;
  #attached = true;
  pinned = true;

  /**
   * @param {HTMLElement} scroller
   * @param {HTMLElement} content
   * @param {() => void} onPin  whenever the reader leaves the end or returns
   * @param {Element | null} [start]  where to begin, if not at the end
   */
  constructor(scroller, content, onPin, start) {
    this.#scroller = scroller;
    this.#content = content;
    this.#onPin = onPin;
    const passive = { passive: true };
    let touchY = 0;
    scroller.addEventListener("wheel", ({ deltaY }) => deltaY < 0 && this.#leave(), passive);
    scroller.addEventListener("touchstart", ({ touches }) => (touchY = touches[0].clientY), passive);
    scroller.addEventListener("touchmove", ({ touches }) => touches[0].clientY > touchY && this.#leave(), passive);
    scroller.addEventListener("keydown", ({ key, shiftKey }) => {
      if (/^(?:ArrowUp|PageUp|Home)$/.test(key) || (key === " " && shiftKey)) this.#leave();
      // A smooth way to an end that moves on would come too late.
      else if (key === "End") this.toEnd();
    });
    scroller.addEventListener("scroll", () => this.#scrolled(), passive);
    const observer = new ResizeObserver(() => this.#follow());
    observer.observe(content);
    observer.observe(scroller);
    this.#attached = !content.querySelector(".newer");
    start?.scrollIntoView();
    this.#remember();
    this.pinned = this.#attached && (!start || this.#room - this.#top <= NEAR);
    this.#follow();
  }

  /** Whether what follows is there to be shown; if not, there is no end to keep in view. */
  get attached() {
    return this.#attached;
  }

  set attached(attached) {
    this.#attached = attached;
    if (!attached) this.#pin(false);
  }

  toEnd() {
    this.#pin(true);
    this.#follow();
  }

  /** Before content is added above: what brings the view back to what it shows now. */
  hold() {
    const toEnd = this.#scroller.scrollHeight - this.#scroller.scrollTop;
    return () => {
      this.#scroller.scrollTop = this.#scroller.scrollHeight - toEnd;
      this.#remember();
    };
  }

  #follow() {
    if (this.pinned && this.#content.firstChild) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#remember();
  }

  #leave() {
    if (this.#room > 1) this.#pin(false);
  }

  #scrolled() {
    const top = this.#top;
    const room = this.#room;
    this.#remember();
    // By scrollbar, search in page or screen reader: upwards, though there is not less to scroll.
    if (this.#top < top - 1 && this.#room >= room) this.#pin(false);
    else if (this.#top > top && this.#room - this.#top <= NEAR) this.#pin(true);
  }

  #remember() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#top = scrollTop;
    this.#room = scrollHeight - clientHeight;
  }

  /** @param {boolean} pinned */
  #pin(pinned) {
    if (this.pinned === pinned || (pinned && !this.#attached)) return;
    this.pinned = pinned;
    this.#onPin();
  }
}
