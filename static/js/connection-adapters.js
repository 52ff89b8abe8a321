/**
 * Every way for chunks to travel between a chat client and a server, with TanStack AI's names and signatures. An
 * adapter is the `connection` of TanStack's ChatClient or of anybody's; of ours (chat-client.js) it is a durable one,
 * or any other as an `adapterSession`.
 *
 * A page that needs one imports that one's module; this list is for who wants to choose.
 *
 * | | |
 * |---|---|
 * | `durableStreamConnection` | the session lives on the server, for any number of people, through any trouble |
 * | `fetchServerSentEvents`, `fetchHttpStream` | a request per run; resumed if the server tags its events |
 * | `webSocket` | any number of runs over one socket |
 * | `stream`, `rpcStream` | a function of the app brings the chunks |
 * | `sharedConnection` | any of these, once for all tabs |
 * | `{connect}`, `{subscribe, send}` | your own |
 */

export { getChunkRunId, normalizeConnectionAdapter } from "./adapter-queue.js";
export { adapterSession } from "./adapter-session.js";
export { executeTools, toolRequests } from "./client-tools.js";
export { durableStreamConnection } from "./durable-stream-connection.js";
export { EventTooLargeError } from "./event-size.js";
export { HttpError } from "./http.js";
export { fetchHttpStream } from "./ndjson-connection.js";
export { sharedConnection } from "./shared-connection.js";
export { fetchServerSentEvents } from "./sse-connection.js";
export { rpcStream, stream } from "./stream-connection.js";
export {
  ChunkParseError,
  DurableStreamIncompleteError,
  StreamReadError,
  StreamReconnectLimitError,
  StreamTruncatedError,
} from "./stream-errors.js";
export { webSocket } from "./websocket-connection.js";
