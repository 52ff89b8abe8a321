/** The start page: its list of chats is as live as that of any other page, and what was left unsent is sent from here. */

import { sendLeftBehind } from "./left-behind.js";
import { watchChats } from "./sidebar.js";
import { TabHub } from "./tab-hub.js";

const { me = "", ping = "" } = document.querySelector("main")?.dataset ?? {};
watchChats(new TabHub({ name: `live ${me}`, url: "/api/live", ping: Number(ping) * 1000 }));
void sendLeftBehind(me);
