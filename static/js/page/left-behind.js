/** Sends what a chat that was closed has left behind. Loads what it takes if there may be something. */

/** @param {string} participantId */
export async function sendLeftBehind(participantId) {
  const name = `outbox:${participantId}`;
  const channel = new BroadcastChannel(name);
  channel.onmessage = () => void send(participantId, channel);
  const stores = await indexedDB.databases().catch(() => []);
  if (stores.some((store) => store.name === name)) void send(participantId, channel);
}

/** @param {string} participantId @param {BroadcastChannel} channel */
async function send(participantId, channel) {
  channel.close();
  const { Outbox } = await import("../outbox.js");
  const outbox = new Outbox({ participantId });
  addEventListener("online", () => void outbox.flush());
  outbox.addEventListener("parcel", async (event) => {
    const { detail } = /** @type {CustomEvent} */ (event);
    if (detail.state === "failed") (await import("./outbox-notice.js")).tellLost(detail, outbox, document.querySelector(".empty"));
  });
  await outbox.start();
}
