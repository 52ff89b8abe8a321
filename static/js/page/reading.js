/** Tells the server how far this person has read, once the end of the chat is in view. */

const SETTLE = 300;

/**
 * @param {import("./page-session.js").PageSession} client
 * @param {{atEnd: () => boolean, url: string, known?: string | null}} options   `known`: the message they had read to
 */
export function watchReading(client, { atEnd, url, known }) {
  let told = known;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waiting;
  const look = () => {
    waiting = undefined;
    // What is being written may not have its name yet, and is read when it is finished.
    const { messages, activeRuns } = client;
    const messageId = messages.findLast(({ metadata }) => !metadata?.delivery && !activeRuns.includes(metadata?.runId ?? ""))?.id;
    if (document.hidden || !atEnd() || !messageId || messageId === told) return;
    told = messageId;
    client.request("PUT", url, { messageId }).catch(() => (told = undefined));
  };
  const soon = () => void (waiting ??= setTimeout(look, SETTLE));
  client.addEventListener("change", soon);
  document.addEventListener("visibilitychange", soon);
  document.addEventListener("scroll", soon, { capture: true, passive: true });
  soon();
}
