/** The start page: its list of chats is as live as that of any other page. */

import { watchChats } from "./sidebar.js";

watchChats(new EventTarget());
