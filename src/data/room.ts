import { setTimeout as sleep } from 'node:timers/promises';

/** Memory that pictures take while they are decoded, in KiB, counted over all threads that share it. */
export type Room = Int32Array<SharedArrayBuffer>;

export const createRoom = (): Room => new Int32Array(new SharedArrayBuffer(4));

/** KiB that pictures under way may take together: 128 MiB. One that takes more waits until it is alone. */
export const roomLimit = 128 * 1024;

/** Does work that takes `bytes` of memory, as soon as there is room for it. */
export async function withRoom<T>(room: Room, bytes: number, work: () => Promise<T>): Promise<T> {
  const wanted = Math.ceil(bytes / 1024);
  while (!take(room, wanted)) await sleep(2);
  try {
    return await work();
  } finally {
    Atomics.sub(room, 0, wanted);
  }
}

function take(room: Room, wanted: number): boolean {
  for (;;) {
    const taken = Atomics.load(room, 0);
    if (taken > 0 && taken + wanted > roomLimit) return false;
    if (Atomics.compareExchange(room, 0, taken, taken + wanted) === taken) return true;
  }
}
