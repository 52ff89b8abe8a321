/** The start page: sends what a chat that was closed has left behind. Loads what it takes if there may be something. */

const { me: participantId = "" } = document.querySelector("main")?.dataset ?? {};
const name = `outbox:${participantId}`;
const channel = new BroadcastChannel(name);

async function send() {
  channel.close();
  const { Outbox } = await import("./outbox.js");
  const outbox = new Outbox({ participantId });
  addEventListener("online", () => void outbox.flush());
  outbox.addEventListener("parcel", async (event) => {
    const { detail } = /** @type {CustomEvent} */ (event);
    if (detail.state === "failed") (await import("./outbox-notice.js")).tellLost(detail, outbox, document.querySelector(".empty"));
  });
  await outbox.start();
}

channel.onmessage = () => void send();
const stores = await indexedDB.databases().catch(() => []);
if (stores.some((store) => store.name === name)) void send();

export {};
