/**
 * A small chat server on a real socket, with the routes of ours: every run is written to its chat's log, and read
 * from there over each transport. Tests cut its connections where they like.
 */

import { once } from "node:events";
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { after, before, beforeEach } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { WebSocketServer } from "ws";

import { createReducer } from "../../../static/js/chat-reducer.js";
import { mediaOf, script, textOf } from "./agent-script.js";
import { createStreamServer, offsetOf } from "./stream-server.js";

/** @typedef {{id: string, chunk: any}} Tagged */
/** @typedef {{runId: string, messageId: string, events: Tagged[], over: boolean, stop: AbortController}} Run */
/** @typedef {{log: import("./stream-server.js").StreamServer, runs: Map<string, Run>, messages: Set<string>}} Chat */
/**
 * What becomes of one stream of events. `cutAfter`: the socket is destroyed after so many; with `within`, in the
 * middle of the next one. `untagged`: ids are left out. `closing`: what is sent before the end.
 * @typedef {{cutAfter?: number, within?: boolean, untagged?: boolean, closing?: string, end?: boolean}} Fate
 * @typedef {import("node:http").IncomingHttpHeaders} RequestHeaders
 * @typedef {{kind: "sse" | "ndjson" | "ws", method: string, url: URL, headers: RequestHeaders, runId: string, after: string}} Asked
 * @typedef {{status: number, body?: string, headers?: Record<string, string>}} Refusal
 */

const WORD = 4; // ms

/**
 * One that serves the tests of the calling file. What was recorded and arranged is forgotten before each of them.
 * @param {{word?: number}} [options]
 */
export function serveAgui(options) {
  const server = createAguiServer(options);
  before(() => server.listen());
  beforeEach(() => server.reset());
  after(() => server.close());
  return server;
}

/** @param {{word?: number}} options */
function createAguiServer({ word = WORD } = {}) {
  /** @type {Map<string, Chat>} */
  const chats = new Map();
  /** @type {Set<import("node:net").Socket>} */
  const sockets = new Set();
  /** @type {{method: string, url: URL, headers: import("node:http").IncomingHttpHeaders, body: any}[]} */
  const requests = [];
  /** @type {{asked: Asked, sent: string[]}[]} */
  const streams = [];

  const self = {
    url: "",
    chats,
    requests,
    streams,
    sockets,
    /** Streams of events and WebSockets that are open. @type {Set<object>} */
    open: new Set(),
    /** Frames that clients have sent over WebSockets. @type {any[]} */
    frames: [],
    /** @type {(asked: Asked) => Fate | undefined} */
    fate: () => undefined,
    /** Refuses a request. @type {(method: string, url: URL) => Refusal | undefined} */
    refuse: () => undefined,
    /** Whether a chat is there before its first message. */
    eager: true,
    /** Cuts every connection there is. */
    cut: () => sockets.forEach((socket) => socket.destroy()),
    /** @param {string} id */
    chat(id) {
      let chat = chats.get(id);
      if (!chat)
        chats.set(id, (chat = { log: createStreamServer({ pageSize: 50 }), runs: new Map(), messages: new Set() }));
      return chat;
    },
    /** @param {string} id @returns {any} */
    snapshot(id) {
      const { log } = self.chat(id);
      const reducer = createReducer();
      for (const item of log.items) reducer.apply(item);
      return { ...reducer.snapshot(), offset: offsetOf(log.log.length) };
    },
    reset() {
      requests.length = streams.length = self.frames.length = 0;
      self.fate = () => undefined;
      self.refuse = () => undefined;
      self.eager = true;
    },
    async listen() {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      self.url = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`;
    },
    async close() {
      for (const { runs } of chats.values()) for (const { stop } of runs.values()) stop.abort();
      webSockets.close();
      server.close();
      self.cut();
      await once(server, "close");
    },
  };

  /** @param {string} id @param {any} body @returns {Run} */
  function accept(id, body) {
    const chat = self.chat(id);
    const message = body.messages.findLast((/** @type {any} */ { role }) => role === "user");
    if (!message && !body.resume)
      throw Object.assign(new Error("The request has no message with the role user."), { code: "invalid-message" });
    if (JSON.stringify(message ?? "").length > 256 * 1024) {
      throw Object.assign(new Error("The message is larger than 256 KiB."), { status: 413, code: "too-large" });
    }
    const runId = body.runId ?? `run-${chat.runs.size}`;
    const known = chat.runs.get(runId);
    if (known) return known;
    const text = message ? textOf(message) : "";
    if (message && !body.resume && !chat.messages.has(message.id)) {
      chat.messages.add(message.id);
      const images = mediaOf(message).map((part) => ({
        type: "CUSTOM",
        name: "message.part",
        value: { messageId: message.id, part },
      }));
      chat.log.append(
        {
          type: "TEXT_MESSAGE_START",
          messageId: message.id,
          role: "user",
          name: message.name,
          metadata: { participantId: "p" },
        },
        { type: "TEXT_MESSAGE_CONTENT", messageId: message.id, delta: text },
        ...images,
        { type: "TEXT_MESSAGE_END", messageId: message.id },
      );
    }
    /** @type {Run} */
    const run = { runId, messageId: message?.id, events: [], over: false, stop: new AbortController() };
    chat.runs.set(runId, run);
    void answer(chat, run, text, body);
    return run;
  }

  /** @param {Chat} chat @param {Run} run @param {string} text @param {any} body */
  async function answer(chat, run, text, body) {
    const { runId } = run;
    /** @param {...any} chunks */
    const write = (...chunks) => {
      for (const chunk of chunks) run.events.push({ id: `${runId}.${run.events.length + 1}`, chunk });
      chat.log.append(...chunks);
    };
    const ids = { threadId: body.threadId ?? "t", runId };
    write({ type: "RUN_STARTED", ...ids, metadata: { triggerId: run.messageId, agentId: "a", agentName: "Agent" } });
    try {
      for (const chunks of script(text, runId, body)) {
        write(...chunks);
        await sleep(word, undefined, { signal: run.stop.signal });
      }
      const last = run.events.at(-1)?.chunk;
      if (last.type !== "RUN_FINISHED" && last.type !== "RUN_ERROR") write({ type: "RUN_FINISHED", ...ids });
    } catch {
      write({ type: "RUN_FINISHED", ...ids, outcome: { type: "cancelled" } });
    }
    run.over = true;
  }

  /** A run's events after one of them, as they come. @param {Run} run @param {string} after @param {() => boolean} gone */
  async function* follow(run, after, gone) {
    let at = after && after !== "-1" ? run.events.findIndex(({ id }) => id === after) + 1 : 0;
    for (;;) {
      while (at < run.events.length) yield run.events[at++];
      if (run.over || gone()) return;
      await sleep(1);
    }
  }

  /**
   * @param {Asked} asked @param {Run} run @param {(event: Tagged, untagged: boolean) => string} frame
   * @param {{write: (text: string) => unknown, half: (text: string) => unknown, gone: () => boolean,
   *   end: (closing?: string) => void, cut: () => void}} to
   */
  async function pipe(asked, run, frame, to) {
    const { cutAfter = Infinity, within = false, untagged = false, closing, end = true } = self.fate(asked) ?? {};
    /** @type {string[]} */
    const sent = [];
    streams.push({ asked, sent });
    for await (const event of follow(run, asked.after, to.gone)) {
      if (sent.length >= cutAfter) {
        if (within) await to.half(frame(event, untagged).slice(0, -4));
        await sleep(5);
        to.cut();
        return;
      }
      sent.push(event.id);
      to.write(frame(event, untagged));
    }
    if (end) to.end(closing);
  }

  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "", self.url);
    const method = request.method ?? "";
    const text = method === "POST" ? await readText(request) : "";
    const body = text ? JSON.parse(text) : undefined;
    requests.push({ method, url, headers: request.headers, body });
    /** @param {number} status @param {any} value @param {Record<string, string>} [headers] */
    const reply = (status, value, headers) => {
      response.writeHead(status, { "Content-Type": "application/json", ...headers });
      response.end(typeof value === "string" ? value : JSON.stringify(value));
    };
    const refusal = self.refuse(method, url);
    if (refusal) return reply(refusal.status, refusal.body ?? "", refusal.headers);
    const id = url.searchParams.get("id") ?? body?.threadId ?? url.searchParams.get("threadId") ?? "";
    try {
      switch (`${method} ${url.pathname}`) {
        case "POST /api/chat":
          return reply(202, "", { "X-Run-Id": accept(id, body).runId });
        case "POST /api/chat/stop": {
          const running = [...self.chat(body.id).runs.values()].filter(
            ({ runId, over }) => !over && runId === (body.runId ?? runId),
          );
          for (const { stop } of running) stop.abort();
          return reply(running.length ? 202 : 200, { stopped: running.length > 0 });
        }
        case `GET /api/chats/${url.pathname.split("/")[3]}/snapshot`:
          return reply(200, self.snapshot(url.pathname.split("/")[3]));
        case "GET /api/chat-stream":
          if (!self.eager && !chats.has(id)) return reply(404, "");
          self.open.add(response);
          response.on("close", () => self.open.delete(response));
          return await passOn(await self.chat(id).log.fetch(url, { signal: gone(response) }), response);
        case "POST /api/chat/sse":
        case "POST /api/chat/ndjson":
        case "GET /api/chat/sse":
        case "GET /api/chat/ndjson": {
          if (method === "GET" && !url.searchParams.has("runId")) {
            const { messages, activeRuns } = self.snapshot(id);
            return reply(200, {
              messages,
              activeRun: activeRuns.length ? { runId: activeRuns.at(-1) } : null,
              interrupts: null,
              page: { truncated: false },
            });
          }
          const run =
            method === "POST" ? accept(id, body) : self.chat(id).runs.get(url.searchParams.get("runId") ?? "");
          if (!run) return reply(404, { error: "There is no such run.", code: "run-not-found" });
          const kind = url.pathname.endsWith("sse") ? "sse" : "ndjson";
          response.writeHead(200, { "Content-Type": kind === "sse" ? "text/event-stream" : "application/x-ndjson" });
          response.flushHeaders();
          self.open.add(response);
          response.on("close", () => self.open.delete(response));
          const after = String(request.headers["last-event-id"] ?? url.searchParams.get("offset") ?? "");
          const frame = kind === "sse" ? sse : ndjson;
          return await pipe({ kind, method, url, headers: request.headers, runId: run.runId, after }, run, frame, {
            write: (chunk) => response.write(chunk),
            half: (chunk) => new Promise((resolve) => response.write(chunk, resolve)),
            gone: () => response.destroyed,
            end: (closing) => response.end(closing),
            cut: () => response.destroy(),
          });
        }
        default:
          return reply(404, { error: "There is nothing here.", code: "not-found" });
      }
    } catch (error) {
      const { status = 400, message, code } = /** @type {any} */ (error);
      if (!response.headersSent) reply(status, { error: message, code });
      else response.destroy();
    }
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });

  const webSockets = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    const url = new URL(request.url ?? "", self.url);
    requests.push({ method: "WS", url, headers: request.headers, body: undefined });
    if (self.refuse("WS", url)) socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    else webSockets.handleUpgrade(request, socket, head, (ws) => converse(ws, url, request.headers));
  });

  /** @param {import("ws").WebSocket} ws @param {URL} url @param {import("node:http").IncomingHttpHeaders} headers */
  function converse(ws, url, headers) {
    const id = url.searchParams.get("id") ?? "";
    self.open.add(ws);
    ws.on("close", () => self.open.delete(ws));
    /** @param {Run} run @param {string} after @param {boolean} last */
    const send = (run, after, last) =>
      pipe({ kind: "ws", method: last ? "RESUME" : "RUN", url, headers, runId: run.runId, after }, run, socketText, {
        write: (text) => ws.send(text),
        half: () => {},
        gone: () => ws.readyState !== ws.OPEN,
        end: () => last && ws.close(1000),
        cut: () => ws.terminate(),
      });
    const offset = url.searchParams.get("offset");
    if (offset) {
      const run = self.chat(id).runs.get(url.searchParams.get("runId") ?? "");
      if (run) void send(run, offset, true);
      else ws.close(1008, "There is no such run.");
      return;
    }
    ws.on("message", (data) => {
      const frame = JSON.parse(String(data));
      self.frames.push(frame);
      if (frame.type === "abort")
        self
          .chat(id || frame.threadId)
          .runs.get(frame.runId)
          ?.stop.abort();
      else void send(accept(id || frame.threadId, frame), "", false);
    });
  }

  return self;
}

/** @param {Tagged} event @param {boolean} untagged */
const sse = ({ id, chunk }, untagged) => `${untagged ? "" : `id: ${id}\n`}data: ${JSON.stringify(chunk)}\n\n`;

/** @param {Tagged} event @param {boolean} untagged */
const socketText = (event, untagged) => JSON.stringify(untagged ? event.chunk : event);

/** @param {Tagged} event @param {boolean} untagged */
const ndjson = (event, untagged) => `${socketText(event, untagged)}\n`;

/** @param {AsyncIterable<Buffer>} stream */
async function readText(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}

/** @param {import("node:http").ServerResponse} response */
function gone(response) {
  const controller = new AbortController();
  response.on("close", () => controller.abort());
  return controller.signal;
}

/** @param {Response} from @param {import("node:http").ServerResponse} to */
async function passOn(from, to) {
  to.writeHead(from.status, Object.fromEntries(from.headers));
  to.flushHeaders();
  if (from.body)
    Readable.fromWeb(/** @type {any} */ (from.body))
      .on("error", () => to.destroy())
      .pipe(to);
  else to.end();
}
