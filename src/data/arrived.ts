/** Images of hosts and tables, and those that are read by pieces, are brought before a worker needs them. */
import { existsSync } from 'node:fs';
import type { Item, Location, Reading } from './batch.js';
import { isDistant, type PieceSource } from './bring.js';
import type { ExpectedPiece, ReadAhead } from './read-ahead.js';
import type { Source } from './sample.js';
import type { DecodeTask, Task } from './task.js';

/** The task with the bytes of those of its images that no reader opens at once, as far as it will read them. */
export async function arrived<T extends Task>(given: T, readAhead: ReadAhead): Promise<T> {
  const wanted = new Map<Item, PieceSource>();
  const want = (item: Item): void => {
    const { source } = item;
    // What no piece has brings a worker itself.
    if (isDistant(source) || (source.kind === 'range' && readAhead.has(source))) wanted.set(item, source);
  };
  if (given.kind === 'batch' && given.readings) readAhead.expect(given.readings.map(pieceOf));
  // A thread needs no more of what is read ahead.
  const task: T = given.kind === 'batch' ? { ...given, readings: undefined } : given;
  if (task.kind === 'decode') task.items.filter((item) => !areThere(item)).forEach(want);
  else for (const location of task.images) if (isRead(location)) want(location.item);
  if (wanted.size === 0) return task;
  const fetched = await readAhead.bring([...wanted.values()]);
  const found = new Map([...wanted.keys()].map((item, i) => [item, fetched[i]!]));
  const arrive = <I extends Item>(item: I): I => {
    const bytes = found.get(item);
    return bytes === undefined ? item : { ...item, source: { kind: 'bytes', bytes } };
  };
  if (task.kind === 'decode') return { ...task, items: task.items.map(arrive) };
  return {
    ...task,
    images: task.images.map((location): Location =>
      location.kind === 'memory' ? location : { ...location, item: arrive(location.item) },
    ),
  };
}

const isInPieces = (source: Source): source is PieceSource => isDistant(source) || source.kind === 'range';

const pieces = new WeakMap<Reading, ExpectedPiece>();

/** What has to be brought of what is read together: images that are kept decoded are not. */
function pieceOf(reading: Reading): ExpectedPiece {
  const known = pieces.get(reading);
  if (known !== undefined) return known;
  const sources = reading.images.flatMap((location) =>
    location.kind === 'source' && isInPieces(location.item.source) ? [location.item.source] : [],
  );
  const piece = { sources };
  pieces.set(reading, piece);
  return piece;
}

/** Whether all that is required of an item are files that were made before. */
function areThere({ outputs = [], print, measure }: DecodeTask['items'][number]): boolean {
  const required = outputs.filter(({ optional }) => !optional);
  if (required.length === 0 || print === 'required' || measure) return false;
  return required.every(({ file }) => file !== undefined && existsSync(file));
}

const isRead = (location: Location): location is Exclude<Location, { kind: 'memory' }> =>
  location.kind === 'source' || (location.kind === 'disk' && !existsSync(location.file));
