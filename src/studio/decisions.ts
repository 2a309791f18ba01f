/** What a person has decided to keep as it is, so that the check queues do not ask again, also after a restart. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { append } from './append.js';
import { studioFolder } from './labels.js';
import type { CheckDecision } from './protocol.js';

type Queue = CheckDecision['queue'];

export interface Decisions {
  isKept(queue: Queue, path: string, label: string | null): boolean;
  /** Settles once it is on the disk. */
  keep(queue: Queue, path: string, label: string | null): Promise<void>;
  /** Takes that back. */
  ask(queue: Queue, path: string, label: string | null): Promise<void>;
}

/** A label that is kept is kept as long as it is that label. */
const keyOf = (queue: Queue, path: string, label: string | null): string =>
  JSON.stringify(queue === 'labels' ? [queue, path, label] : [queue, path]);

/**
 * Reads `.pupil/decisions.jsonl`, a line for each: a list; one that was taken back later stands in an object, as
 * `again`. A line that was not finished is none.
 */
export async function openDecisions(folder: string | undefined): Promise<Decisions> {
  const kept = new Set<string>();
  const file = join(folder ?? '.', studioFolder, 'decisions.jsonl');
  const text = folder === undefined ? '' : await readFile(file, 'utf8').catch(() => '');
  for (const line of text.split('\n')) {
    try {
      const said = JSON.parse(line) as unknown;
      if (Array.isArray(said)) kept.add(JSON.stringify(said));
      else kept.delete(JSON.stringify((said as { readonly again?: unknown }).again));
    } catch {
      // not finished
    }
  }
  let last: Promise<void> = Promise.resolve();
  const write = (line: string): Promise<void> => {
    // Begins with the end of a line that a killed server did not finish.
    if (folder !== undefined) last = last.catch(() => undefined).then(() => append(file, `\n${line}`));
    return last;
  };
  return {
    isKept: (queue, path, label) => kept.has(keyOf(queue, path, label)),
    keep(queue, path, label) {
      const key = keyOf(queue, path, label);
      kept.add(key);
      return write(key);
    },
    ask(queue, path, label) {
      const key = keyOf(queue, path, label);
      kept.delete(key);
      return write(`{"again":${key}}`);
    },
  };
}
