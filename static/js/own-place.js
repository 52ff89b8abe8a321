/**
 * How far one tab has read a stream that another reads for it. What it is told says where it begins and ends: the tab
 * takes what begins where it is, skips what it has, and reads by itself what it lacks.
 */

import { BEGINNING, isAfter } from "./stream-state.js";

/** @import {Batch} from "./types.js" */

/** @param {string | undefined} offset @param {(offset: string | undefined) => AsyncIterable<Batch>} readAlone   ends with the stream */
export function createPlace(offset, readAlone) {
  const place = {
    offset,
    /** Whether the stream has ended. */
    over: false,

    /** Up to the present. @returns {AsyncGenerator<Batch, void, void>} */
    async *catchUp() {
      for await (const batch of readAlone(place.offset)) {
        place.offset = batch.offset;
        yield batch;
        if (batch.upToDate) return;
      }
      place.over = true;
    },

    /** @param {string} end */
    lacks: (end) => isAfter(end, place.offset ?? BEGINNING),

    /** @param {string | undefined} from @param {Batch} batch @returns {AsyncGenerator<Batch, void, void>} */
    async *take(from, batch) {
      if (!place.lacks(batch.offset)) return;
      if (from !== place.offset) return yield* place.catchUp();
      place.offset = batch.offset;
      yield batch;
    },
  };
  return place;
}
