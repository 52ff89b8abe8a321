/** Counts what goes over the wire, at the only two doors there are for a page: fetch and WebSocket. */

/** @import {Fetch} from "../types.js" */

/**
 * @typedef {object} Traffic
 * @property {number} connections   requests and sockets so far
 * @property {number} bytes         of bodies and messages received
 * @property {number} open          replies and sockets that have not ended
 */

/** @returns {Traffic} */
export const createTraffic = () => ({ connections: 0, bytes: 0, open: 0 });

/** @param {Traffic} traffic @returns {Fetch} */
export function countingFetch(traffic) {
  return async (input, init) => {
    traffic.connections += 1;
    const response = await fetch(input, init);
    if (!response.body) return response;
    const reader = response.body.getReader();
    traffic.open += 1;
    let over = () => {
      traffic.open -= 1;
      over = () => {};
    };
    const body = new ReadableStream({
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) {
            traffic.bytes += value.length;
            return controller.enqueue(value);
          }
          over();
          controller.close();
        } catch (error) {
          over();
          controller.error(error);
        }
      },
      cancel(reason) {
        over();
        return reader.cancel(reason);
      },
    });
    return new Response(body, response);
  };
}

/** @param {Traffic} traffic @returns {typeof WebSocket} */
export function countingWebSocket(traffic) {
  const encoder = new TextEncoder();
  return class extends WebSocket {
    /** @param {string | URL} url @param {string | string[]} [protocols] */
    constructor(url, protocols) {
      super(url, protocols);
      traffic.connections += 1;
      this.addEventListener("open", () => {
        traffic.open += 1;
        this.addEventListener("close", () => (traffic.open -= 1));
      });
      this.addEventListener("message", ({ data }) => (traffic.bytes += encoder.encode(data).length));
    }
  };
}
