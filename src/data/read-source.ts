import { createBringer, isDistant, type Bringer } from './bring.js';
import { createReader } from './read.js';
import type { DistantSource, LocalSource } from './sample.js';

/** What brings images one by one; it rests after the last, so that the next of the same table is near. */
let bringer: Bringer | undefined,
  rest: NodeJS.Timeout | undefined,
  users = 0;

async function bringOne(source: DistantSource): Promise<Uint8Array> {
  clearTimeout(rest);
  users++;
  bringer ??= createBringer();
  try {
    return (await bringer.bring([source]))[0]!;
  } finally {
    if (--users === 0) {
      rest = setTimeout(() => {
        void bringer?.close();
        bringer = undefined;
      }, 500);
      rest.unref();
    }
  }
}

/**
 * The bytes of one file or part of one, here or on a host, or of a cell of a table. Throws `bad-data`, naming
 * `where`, when they cannot be read, and `network`.
 */
export async function readSource(source: LocalSource | DistantSource, where: string): Promise<Uint8Array> {
  if (isDistant(source)) return bringOne(source);
  const reader = createReader();
  try {
    return reader.read(source, where);
  } finally {
    reader.close();
  }
}
