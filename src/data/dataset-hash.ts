/** Hashes of whole data sets. There may be millions of samples: no text of all of them is made. */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import type { Dataset, Sample } from './sample.js';

/** Samples whose hashes are sorted at a time, where the first of their digits part them. */
const together = 2 ** 15;

/** The first 128 bits of SHA-256 of the pieces of a text, hexadecimal. */
function hashOfText(pieces: Iterable<string>): string {
  const hash = createHash('sha256');
  let waiting = '';
  for (const piece of pieces) {
    waiting += piece;
    if (waiting.length < 2 ** 14) continue;
    hash.update(waiting);
    waiting = '';
  }
  return hash.update(waiting).digest('hex').slice(0, 32);
}

/** JSON of an array with these values. */
function* listOf(values: Iterable<unknown>): Generator<string> {
  let comma = '';
  for (const value of values) {
    yield comma + JSON.stringify(value);
    comma = ',';
  }
}

/**
 * Depends on which image has which name, and on their order, which is that of random draws: a data set
 * that is moved as a whole keeps it.
 */
export const hashOfFiles = ({ samples }: Dataset): string =>
  hashOfText(
    (function* () {
      yield '[';
      yield* listOf(namesAndHashes(samples));
      yield ']';
    })(),
  );

function* namesAndHashes(samples: readonly Sample[]): Generator<readonly [name: string, hash: string]> {
  for (const { path, hash } of samples) yield [basename(path), hash];
}

/**
 * Depends on the classes and on every sample's split, label (and whether it was a model's, or the image was drawn at
 * random) and content, not on paths or order.
 */
export const datasetHash = (classes: readonly string[], samples: readonly Sample[]): string =>
  hashOfText(
    (function* () {
      yield `[${JSON.stringify(classes)},[`;
      yield* listOf(sortedLines(samples));
      yield ']]';
    })(),
  );

/** `${split} ${label} ${hash}` of all samples, sorted; `accepted` and `drawn` stand behind such labels. */
function* sortedLines(samples: readonly Sample[]): Generator<string> {
  const parts = grouped(samples, ({ split, label, accepted, drawn }) =>
    label >= 0
      ? `${split} ${label} ${accepted === true ? 'accepted ' : ''}${drawn === true ? 'drawn ' : ''}`
      : `${split} ${label} `,
  );
  for (const [start, members] of parts) {
    const byDigits =
      members.length > together ? grouped(members, ({ hash }) => hash.slice(0, 2)) : [['', members] as const];
    for (const [, some] of byDigits) for (const hash of some.map((sample) => sample.hash).sort()) yield start + hash;
  }
}

/** Samples by a text, in the order of the texts. */
function grouped(samples: readonly Sample[], textOf: (sample: Sample) => string): [string, Sample[]][] {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const text = textOf(sample);
    const members = groups.get(text);
    if (members === undefined) groups.set(text, [sample]);
    else members.push(sample);
  }
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
}
