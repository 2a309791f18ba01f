/**
 * Fingerprints of contents that were decoded before, in text files of the cache folder: a line for each,
 * files by the first byte of the content's hash. Files can be lost at any time.
 */
import { appendFile, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolders } from '../folders.js';
import type { Fingerprint } from './fingerprint.js';
import { createNeighbours, type Neighbours } from './neighbours.js';

export interface Fingerprints {
  /** Reads what is known of these contents. */
  load(hashes: Iterable<string>): Promise<void>;
  get(hash: string): Fingerprint | undefined;
  put(hash: string, print: Fingerprint): void;
  /** Adds what is new to the files; a disk that does not take it is no reason to stop. */
  save(): Promise<void>;
  /** Which of their looks are near each other, as far as that was asked for. */
  readonly neighbours: Neighbours;
}

/** Bytes of a file at which it begins anew: all together they hold two million images. */
const largest = 2 ** 20;
const line = /^([0-9a-f]{32}) ([0-9a-f]{32}) ([0-9a-f]{64}|-)$/gm;

export function createFingerprints(cacheFolder: string): Fingerprints {
  const folder = join(cacheFolder, 'fingerprints-1');
  const known = new Map<string, Fingerprint>(),
    added = new Map<string, Fingerprint>();
  const loaded = new Map<string, Promise<void>>();
  const read = async (name: string): Promise<void> => {
    const file = join(folder, `${name}.txt`);
    const text = await readFile(file, 'latin1').catch(() => '');
    for (const [, hash, pixels, look] of text.matchAll(line))
      known.set(hash!, { pixels: pixels!, look: look === '-' ? '' : look! });
    if (text.length > largest) await rm(file, { force: true }).catch(() => undefined);
  };
  return {
    neighbours: createNeighbours(),
    async load(hashes) {
      const names = new Set<string>();
      for (const hash of hashes) names.add(hash.slice(0, 2));
      await Promise.all(
        [...names].map((name) => {
          const reading = loaded.get(name) ?? read(name);
          loaded.set(name, reading);
          return reading;
        }),
      );
    },
    get: (hash) => known.get(hash),
    put(hash, print) {
      if (known.has(hash)) return;
      known.set(hash, print);
      added.set(hash, print);
    },
    async save() {
      const files = new Map<string, string[]>();
      for (const [hash, { pixels, look }] of added) {
        const name = hash.slice(0, 2);
        if (!files.has(name)) files.set(name, []);
        files.get(name)!.push(`${hash} ${pixels} ${look || '-'}\n`);
      }
      added.clear();
      try {
        if (files.size > 0) await makeFolders(folder);
        for (const [name, lines] of files) await appendFile(join(folder, `${name}.txt`), lines.join(''));
      } catch {
        // full or not to be written to: they are made again next time
      }
    },
  };
}
