import { setTimeout as sleep } from 'node:timers/promises';
import { collectGarbage } from '../threads/garbage.js';

/** Memory that pictures take while they are decoded, in KiB, counted over all threads that share it. */
export type Room = Int32Array<SharedArrayBuffer>;

export const createRoom = (): Room => new Int32Array(new SharedArrayBuffer(4));

/** KiB that pictures under way may take together: 128 MiB. One that takes more waits until it is alone. */
export const roomLimit = 128 * 1024;

/** KiB from which on memory is collected before others may take it: 32 MiB. */
const large = 32 * 1024;

/** A part of the room that one picture has. */
export interface Place {
  /**
   * Has room for `bytes` from now on, as soon as there is: at once where that is less than before, or
   * where the picture has the whole room.
   */
  resize(bytes: number): Promise<void>;
}

/**
 * Does work that takes `bytes` of memory at first, as soon as there is room for it, and as much as it asks for later
 * on. Room that others get is free: memory that the work no longer needs was collected.
 */
export async function withRoom<T>(room: Room, bytes: number, work: (place: Place) => Promise<T>): Promise<T> {
  let held = 0;
  const giveBack = async (kept: number): Promise<void> => {
    if (held - kept >= large && held > 0) await collectGarbage();
    Atomics.sub(room, 0, held - kept);
    held = kept;
  };
  const resize = async (wantedBytes: number): Promise<void> => {
    const wanted = Math.ceil(wantedBytes / 1024);
    if (wanted <= held) return giveBack(wanted);
    if (held >= roomLimit) Atomics.add(room, 0, wanted - held);
    else {
      await giveBack(0);
      while (!take(room, wanted)) await sleep(2);
    }
    held = wanted;
  };
  try {
    await resize(bytes);
    return await work({ resize });
  } finally {
    await giveBack(0);
  }
}

function take(room: Room, wanted: number): boolean {
  for (;;) {
    const taken = Atomics.load(room, 0);
    if (taken > 0 && taken + wanted > roomLimit) return false;
    if (Atomics.compareExchange(room, 0, taken, taken + wanted) === taken) return true;
  }
}
