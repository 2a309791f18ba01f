import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../random.js';
import type { Location } from './batch.js';
import { createLoader } from './loader.js';
import { epochOrder } from './order.js';
import { createShardOrder, isReadByPieces, type ShardOrder, type Stored } from './shard-order.js';
import { workingTarget } from './target.js';

/** `shards` archives of `each` images of `bytes` bytes, one behind the other. */
const archives = (shards: number, each: number, bytes = 1000): Stored[] =>
  Array.from({ length: shards * each }, (_, i) => ({
    source: {
      kind: 'remote',
      address: `http://host/${Math.floor(i / each)}.tar`,
      offset: (i % each) * (bytes + 512),
      length: bytes,
      hash: '',
    },
    bytes,
  }));
const all = (images: readonly unknown[]): number[] => images.map((_, i) => i);
const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);
const shuffle = { buffer: 200_000, piece: 20_000 };

/** Pearson's correlation of two lists. */
function correlation(a: readonly number[], b: readonly number[]): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  const product = (x: readonly number[], y: readonly number[]): number =>
    x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  const [da, db] = [a.map((value) => value - meanA), b.map((value) => value - meanB)];
  return product(da, db) / Math.sqrt(product(da, da) * product(db, db));
}

test('an epoch shows every image once, others in another order, the same for the same seed', () => {
  const images = archives(7, 153);
  const arrange = createShardOrder(images, shuffle);
  const first = arrange(all(images), new Random(1, 'shards', 0), 8).order;
  assert.deepEqual(sorted(first), all(images));
  const again = createShardOrder(images, shuffle)(all(images), new Random(1, 'shards', 0), 8).order;
  assert.deepEqual(again, first);
  const next = arrange(all(images), new Random(1, 'shards', 1), 8).order;
  assert.deepEqual(sorted(next), all(images));
  assert.ok(next.filter((image, place) => image === first[place]).length < 10);
});

test('at any time, what is read and not yet shown is no more than the buffer and a piece', () => {
  const images = archives(5, 200);
  const { order, buffer, piecesFor }: ShardOrder = createShardOrder(images, shuffle)(all(images), new Random(3), 10);
  assert.equal(buffer, 200);
  const pieces = piecesFor(0, order.length);
  assert.ok(pieces.length >= 75 && pieces.length <= 85, `${pieces.length} pieces of at most 13 images`);
  for (const { images: members, places } of pieces) {
    assert.ok(members.length <= 13);
    assert.deepEqual(
      places.map((place) => order[place]),
      members,
    );
  }
  const read = new Set<unknown>();
  for (let from = 0; from < order.length; from += 10) {
    for (const piece of piecesFor(from, from + 10)) read.add(piece);
    const shown = new Set(order.slice(0, from + 10));
    const waiting = [...read].flatMap((piece) => (piece as { images: readonly number[] }).images);
    assert.ok(
      [...shown].every((image) => waiting.includes(image)),
      'what is shown was read',
    );
    const held = waiting.filter((image) => !shown.has(image)).length;
    assert.ok(held <= buffer + 13, `${held} images wait`);
  }
  // From the middle on: only what is still to be shown.
  const rest = piecesFor(500, order.length);
  assert.ok(rest.length < pieces.length);
  assert.deepEqual(
    sorted(rest.flatMap(({ images: members, places }) => members.filter((_, i) => places[i]! >= 500))),
    sorted(order.slice(500)),
  );
});

test('several ranks read parts of the pieces, whatever their number; a batch has the same images in any case', () => {
  const images = archives(64, 100);
  const batchSize = 64;
  const { order, buffer, piecesFor } = createShardOrder(images, shuffle)(all(images), new Random(7), batchSize);
  assert.equal(buffer, 200);
  const pieces = piecesFor(0, order.length);
  for (const [ranks, most] of [
    [2, 1.6],
    [4, 2.4],
    [8, 3.5],
  ] as const) {
    const rows = batchSize / ranks;
    // Each rank reads what it shows of each piece: how often a piece is read in all.
    const readers = pieces.map(({ places }) => new Set(places.map((at) => Math.floor((at % batchSize) / rows))).size);
    const mean = readers.reduce((sum, count) => sum + count, 0) / pieces.length;
    assert.ok(mean < most, `a piece is read by ${mean} of ${ranks} ranks`);
  }
});

test('with CutMix a rank reads its images and their partners, in time and no others', async () => {
  const [batchSize, size] = [64, 8];
  const samples = archives(16, 100).map((image, i) => ({ ...image, path: String(i), label: 0, source: image.source! }));
  let read = 0;
  for (let rank = 0; rank < size; rank++) {
    const asked = new Set<Location>(),
      expected = new Set<Location>();
    const namesOf = (locations: ReadonlySet<Location>): number[] =>
      sorted([...locations].map((location) => Number(location.kind === 'source' && location.item.path)));
    const loader = createLoader({
      images: {
        samples,
        locations: samples.map(({ path, source }) => ({ kind: 'source', item: { path, source } })),
        target: workingTarget({ size: [2, 2], resizeShort: 2, interpolation: 'bilinear' }),
        pool: {
          workers: 0,
          run({ images, readings }) {
            for (const location of readings!.flatMap((reading) => reading.images)) expected.add(location);
            for (const location of images) {
              assert.ok(expected.has(location), 'what is shown was read');
              asked.add(location);
            }
            return Promise.resolve(new Uint8Array(images.length * 12));
          },
        },
      },
      ...{ classes: 1, pipeline: [], size: [2, 2], mixing: { cutmix: 1, probability: 0.8 } },
      ...{ batchSize, slice: { rank, size }, seed: 3, shuffle, dropLast: true },
    });
    for await (const batch of loader.batches(0)) assert.equal(batch.count, batchSize / size);
    assert.deepEqual(namesOf(expected), namesOf(asked));
    read += expected.size;
  }
  assert.ok(read > samples.length && read < 2 * samples.length, `${read} images, not ${size} times all`);
});

test('images of one archive, and of one part of it, are spread over the epoch', () => {
  // As archives are packed class by class: 40 archives are 40 classes; the buffer holds a fortieth of all.
  const images = archives(40, 200);
  let worst = 0,
    fewest = Infinity,
    farthest = 0;
  for (let seed = 0; seed < 10; seed++) {
    const { order } = createShardOrder(images, shuffle)(all(images), new Random(seed, 'shards', 0), 64);
    worst = Math.max(worst, Math.abs(correlation(all(order), order)));
    for (let from = 0; from < order.length; from += 64)
      fewest = Math.min(fewest, new Set(order.slice(from, from + 64).map((i) => Math.floor(i / 200))).size);
    for (let shard = 0; shard < 40; shard++) {
      const places = all(order).filter((place) => Math.floor(order[place]! / 200) === shard);
      farthest = Math.max(farthest, Math.abs(places.reduce((a, b) => a + b, 0) / places.length / order.length - 0.5));
    }
  }
  assert.ok(worst < 0.12, `correlation of place and position in the archives ${worst}`);
  assert.ok(fewest >= 8, `${fewest} of 40 classes in a batch of 64`);
  assert.ok(farthest < 0.3, `the mean place of an archive is ${farthest} of the epoch from its middle`);
});

test('groups of rows stay whole, files of a folder are pieces of their own, and nothing is drawn twice', () => {
  const images: Stored[] = [
    ...Array.from({ length: 60 }, (_, row): Stored => {
      const from = row - (row % 20);
      return {
        source: { kind: 'cell', path: 'a.parquet', column: 'image', row, from, to: from + 20, length: 50_000 },
        bytes: 50_000,
      };
    }),
    { source: { kind: 'file', path: 'x.png' }, bytes: 50_000 },
    { source: { kind: 'file', path: 'y.png' } },
    {},
  ];
  const { order, piecesFor } = createShardOrder(images, shuffle)(all(images), new Random(4), 8);
  assert.deepEqual(sorted(order), all(images));
  const pieces = piecesFor(0, 63).map(({ images: members }) => sorted(members));
  assert.deepEqual(
    pieces.sort((a, b) => a[0]! - b[0]!),
    [all(images).slice(0, 20), all(images).slice(20, 40), all(images).slice(40, 60), [60], [61], [62]],
  );
});

test('balanced epochs show each class equally often, copies with what they are read with', () => {
  const images = archives(3, 100);
  const labels = images.map((_, i) => (i % 10 === 0 ? 1 : 0));
  const drawn = epochOrder(labels, 2, { seed: 1, shuffle: true, balance: true });
  const { order } = createShardOrder(images, shuffle)(drawn, new Random(5), 8);
  assert.deepEqual(sorted(order), sorted(drawn));
  assert.equal(order.filter((i) => labels[i] === 1).length, 150);
});

test('only images of hosts and tables that do not fit the cache are read by pieces', () => {
  const target = { kind: 'working', short: 258, interpolation: 'bilinear' } as const;
  assert.equal(isReadByPieces(archives(90, 1000), target), true);
  assert.equal(isReadByPieces(archives(70, 1000), target), false);
  const local = archives(90, 1000).map((): Stored => ({
    source: { kind: 'range', path: 'a.tar', offset: 0, length: 1000 },
    bytes: 1000,
  }));
  assert.equal(isReadByPieces(local, target), false);
});
