/** Which images the batches of an epoch show, and what has to be read for them. */
import { PupilError } from '../errors.js';
import { Random } from '../random.js';
import type { Location, Reading } from './batch.js';
import { cycle, epochOrder } from './order.js';
import {
  createShardOrder,
  isReadByPieces,
  type ArrangeShards,
  type Piece,
  type ShardShuffle,
  type Stored,
} from './shard-order.js';
import type { Target } from './target.js';

/** all: every image may follow any other; shards: read piece by piece, through a shuffle buffer. */
export type ShuffleName = 'all' | 'shards';

/** Images of which epochs consist. */
export interface EpochImages {
  readonly samples: readonly ({ readonly label: number } & Stored)[];
  readonly locations: readonly Location[];
  readonly target: Target;
}

export interface EpochsOptions {
  readonly images: EpochImages;
  /** Which of them, by index. */
  readonly subset: readonly number[];
  readonly batchSize: number;
  readonly seed: number;
  /** true: shards where `isReadByPieces`, else all; false: in the order of `subset`. */
  readonly shuffle: boolean | ShuffleName | ShardShuffle;
  readonly balance: boolean | undefined;
  readonly dropLast: boolean;
  /** The rows of a batch whose images are read here. */
  readonly rowsOf: (epoch: number, step: number) => ReadonlySet<number>;
}

export interface Epochs {
  readonly stepsPerEpoch: number;
  /** Images in an epoch. */
  readonly count: number;
  /** The images of a batch, by index; depends on the data, the options and these numbers alone. */
  batch(epoch: number, step: number): readonly number[];
  /** What is read for a batch and later ones; undefined where images are read one by one. */
  readings(epoch: number, step: number): readonly Reading[] | undefined;
}

/** Plans epochs. Throws `usage` for a size of batches that is none. */
export function planEpochs(options: EpochsOptions): Epochs {
  const { images, subset, batchSize, seed, shuffle, balance, dropLast, rowsOf } = options;
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new PupilError('usage', `batch size ${batchSize}: give a whole number, 1 or more`, { option: 'batchSize' });
  }
  const labels = subset.map((index) => images.samples[index]!.label);
  const isFilled = dropLast && subset.length < batchSize;
  const full = Math.max(1, Math.floor(subset.length / batchSize));
  const stepsPerEpoch = dropLast ? full : Math.ceil(subset.length / batchSize);
  const shards = arrangeShards(options);
  const epochOf = remember((epoch) => {
    const drawn = epochOrder(labels, epoch, { seed, shuffle: shuffle !== false, balance });
    const arranged = shards?.(drawn, new Random(seed, 'shards', epoch), batchSize);
    const positions = arranged === undefined ? drawn : [...arranged.order];
    if (isFilled) positions.push(...cycle(positions, batchSize - positions.length, new Random(seed, 'fill', epoch)));
    return {
      indexes: positions.map((position) => subset[position]!),
      arranged,
      begun: new Map<Piece, Reading>(),
      rowsOf: remember((step) => rowsOf(epoch, step)),
    };
  }, 2);
  const isReadHere = (epoch: number, place: number): boolean => {
    const step = Math.floor(place / batchSize);
    return (
      !(dropLast && step >= stepsPerEpoch) &&
      epochOf(epoch)
        .rowsOf(step)
        .has(place % batchSize)
    );
  };
  const readingOf = (epoch: number, { images: positions, places }: Piece, from: number): Reading => ({
    images: positions.flatMap((position, i) =>
      places[i]! >= from && isReadHere(epoch, places[i]!) ? [images.locations[subset[position]!]!] : [],
    ),
  });
  return {
    stepsPerEpoch,
    count: dropLast ? stepsPerEpoch * batchSize : subset.length,
    batch: (epoch, step) => epochOf(epoch).indexes.slice(step * batchSize, (step + 1) * batchSize),
    readings(epoch, step) {
      const { arranged, begun } = epochOf(epoch);
      const from = step * batchSize;
      return arranged?.piecesFor(from, from + batchSize).map((piece) => {
        const reading = begun.get(piece) ?? readingOf(epoch, piece, from);
        begun.set(piece, reading);
        return reading;
      });
    },
  };
}

/** What orders epochs that are read piece by piece; undefined for others. */
function arrangeShards({ images, subset, shuffle }: EpochsOptions): ArrangeShards | undefined {
  if (shuffle === false || shuffle === 'all') return undefined;
  const stored = subset.map((index) => images.samples[index]!);
  if (shuffle === true && !isReadByPieces(stored, images.target)) return undefined;
  return createShardOrder(stored, typeof shuffle === 'object' ? shuffle : undefined);
}

/** The function, which keeps its results for the last numbers that it was asked for, at most so many. */
function remember<T>(of: (key: number) => T, most = Infinity): (key: number) => T {
  const known = new Map<number, T>();
  return (key) => {
    if (!known.has(key)) {
      if (known.size >= most) known.delete(known.keys().next().value!);
      known.set(key, of(key));
    }
    return known.get(key)!;
  };
}
