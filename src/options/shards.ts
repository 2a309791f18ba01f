/** Rows of commands that an array job divides among machines. */
import { PupilError } from '../errors.js';
import { flag, path, whole, type Kind } from './kinds.js';
import { machine, skip } from './machine.js';
import { group, option, pick, type Asked, type Given } from './option.js';
import { trainingOptions } from './training.js';

/** Which part of the work: part `index` (from 1) of `count`. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** A shard, or the word for "as the launcher says", with the number of all where it does not say that. */
export type ShardChoice = Shard | { readonly auto: true; readonly count?: number | undefined };

/** More shards than this are a mistake: schedulers take fewer, and each has a file of its own. */
const mostShards = 1_000_000;

function readShard(text: string): ShardChoice | undefined {
  const [, of, total] = /^(auto|\d+)(?:\/(\d+))?$/.exec(text.trim()) ?? [];
  if (of === undefined || (of !== 'auto' && total === undefined)) return undefined;
  const count = total === undefined ? undefined : Number(total);
  if (count !== undefined && !(count >= 1 && count <= mostShards)) return undefined;
  return of === 'auto' ? { auto: true, count } : shardOf(Number(of), count!);
}

/** Throws `usage` for an index beyond the count. */
function shardOf(index: number, count: number): Shard {
  if (index >= 1 && index <= count) return { index, count };
  throw new PupilError(
    'usage',
    `${index}/${count}: there is no shard ${index} of ${count}; they are counted from 1 to ${count}`,
    { option: 'shard' },
  );
}

const shardKind: Kind<ShardChoice> = {
  type: 'text',
  takes: `i/n counted from 1, such as 3/128, auto or auto/n (n up to ${mostShards.toLocaleString('en')})`,
  argument: 'i/n',
  check: (value) => (typeof value === 'string' ? readShard(value) : undefined),
  read: readShard,
};

/** What every command has whose work is divided. */
export const shardOptions = group('Array job', {
  shard: option(shardKind, {
    says: 'do part i of n into the folder `out`; auto: what Slurm or Kubernetes says, auto/n where it does not say n',
    unsaved: true,
    argument: 'i/n',
  }),
  merge: option(path('folder'), {
    says: 'instead of the arguments: make one result of the parts in this folder',
    unsaved: true,
  }),
});

/** What `pseudo-label` has beside that: the consensus over parts. */
export const consensusOptions = group('Array job', {
  data: option(path('data'), {
    says:
      'with `merge` of parts of pupil features: label their images by the consensus with these labelled images, ' +
      'seen by `model`',
    unsaved: true,
  }),
});

/** What `learn` has beside that. */
export const seedsOptions = group('Array job', {
  seeds: option(whole(1), {
    says:
      'with `shard`: climb the ladder by so many seeds, from `seed` on, each the work of one shard; where there are ' +
      'more shards, several share the folds of a seed',
    otherwise: 'one for each shard',
    unsaved: true,
  }),
});

/** `shards`. */
export const packOptions = {
  ...group('Archives', {
    out: option(path('folder'), {
      says: 'a new folder for the archives (required)',
      unsaved: true,
      rank: 1,
    }),
    perShard: option(whole(1), {
      says: 'images of one archive',
      usual: 10_000,
      argument: 'images',
      rank: 2,
    }),
    resize: option(whole(1), {
      says: 'make the short side of larger images so long, as JPEG',
      otherwise: 'files stay as they are',
      argument: 'pixels',
      rank: 3,
    }),
    labels: option(flag, {
      says: 'pack labels and splits too',
      no: 'pack images without labels, wherever they lie',
      usual: true,
      rank: 4,
    }),
    shuffle: option(flag, {
      says: 'pack the images of each split in random order, for programs that read archives from beginning to end',
      usual: false,
      rank: 5,
    }),
    seed: option(whole(0), { says: 'with `shuffle`: other numbers are other orders', usual: 0, rank: 6 }),
    skip: { ...skip, rank: 7 },
  }),
  signal: machine.signal,
} as const;

export interface PackOptions extends Given<typeof packOptions> {}
/** What `packShards` can be told; `out` is required (docs/options.md). */
export interface PackRequest extends Asked<PackOptions> {}

/** `features`. */
export const featuresOptions = {
  ...group('Features', {
    model: option(path('model'), {
      says: 'the network whose features are written: run folder, ONNX file or hf:owner/repo[/file] (required)',
      rank: 1,
    }),
    out: option(path('file'), { says: 'the .parquet file to write (required)', unsaved: true, rank: 2 }),
  }),
  ...pick(trainingOptions, ['head', 'modelOutput', 'features', 'normalize', 'channels', 'size']),
  skip,
  ...pick(machine, ['engine', 'threads', 'workers', 'signal']),
} as const;

export interface FeaturesOptions extends Given<typeof featuresOptions> {}
/**
 * What `features` can be told; `model` and `out` are required (docs/options.md).
 */
export interface FeaturesRequest extends Asked<FeaturesOptions> {}
