/**
 * A chain of trainings on several ranks: the first alone walks through it, decides and measures; the others take part
 * in the trainings by descent that it orders. Nothing that depends on time or on a file is decided twice.
 */
import { runFiles } from '../artifact/run-files.js';
import { openDataset, withUnlabelled } from '../data/dataset.js';
import type { Dataset } from '../data/sample.js';
import { PupilError } from '../errors.js';
import { isFrozen, machineOptions } from '../options/option.js';
import { trainingOptions } from '../options/training.js';
import { threadsOfRank } from '../parallel/join.js';
import type { Ranks } from '../parallel/ranks.js';
import { techniqueOf } from '../techniques/index.js';
import type { RunEvent, TrainResult } from '../runs/events.js';
import { assertDivisible, assertSameImages, hashesOf } from '../runs/ranks.js';
import { resolveSettings, useful, type TrainOptions } from '../runs/resolve.js';
import { poolFor, trainAs, type Shared } from '../runs/train.js';
import { imagesTold, toldImages, type ToldImages } from './told-images.js';

/** Those that train the chain, and the images that each of them has opened. */
export interface Crew {
  readonly ranks: Ranks;
  readonly images: Dataset;
}

/** Where the images are, as the settings of the chain say. */
type Places = Pick<TrainOptions, 'unlabelled' | 'skip'> & { readonly data?: string | undefined };

/** What the first rank has opened. */
interface Opened extends ReturnType<typeof hashesOf> {
  readonly places: Places;
  /** The run folder. */
  readonly run: string;
}

/** What the others do next: a training on these images, or to end. */
type Order = ToldImages | { readonly result: unknown };

/** The first rank has opened the images and begun its run. */
export async function announceChain(
  { ranks, images }: Crew,
  { data, unlabelled, skip }: Places,
  run: string,
): Promise<void> {
  if (ranks.size === 1) return;
  await ranks.share<Opened>({ ...hashesOf(images), places: { data, unlabelled, skip }, run });
}

/**
 * The first rank trains on images of those that were opened, the others with it where there is something to
 * descend. `mode`: what it trains in, also where it goes on. An error of any rank ends the training, not the chain.
 */
export async function* trainInCrew(
  crew: Crew | undefined,
  data: Dataset,
  { mode, ...told }: { readonly mode: TrainOptions['mode']; readonly told: TrainOptions } & Omit<Shared, 'ranks'>,
): AsyncGenerator<RunEvent, TrainResult, undefined> {
  const { told: options, ...shared } = told;
  if (crew === undefined || crew.ranks.size === 1 || isFrozen(mode))
    return yield* trainAs('train', data, options, shared);
  await crew.ranks.share<Order>(toldImages(crew.images, data));
  return yield* trainAs('train', data, options, { ...shared, ranks: crew.ranks.part() });
}

/**
 * What the other ranks do: they open the images and take part in every training until the first has ended; its result.
 * Throws `bad-data` for other images than the first has, `not-found` where its run folder cannot be seen.
 */
async function* followChain<Result>(
  ranks: Ranks,
  data: string | Dataset | undefined,
  options: TrainOptions,
): AsyncGenerator<RunEvent, Result, undefined> {
  const { signal } = options;
  const { places, run, ...hashes } = await ranks.share<Opened>(undefined);
  const { unlabelled = [], skip } = places;
  const source = data ?? places.data!;
  const images = await (typeof source === 'string'
    ? openDataset(source, { unlabelled, signal, skip })
    : withUnlabelled(source, unlabelled, { signal, skip }));
  assertSameImages(hashes, images);
  if (!(await runFiles.config.exists(run)))
    throw new PupilError(
      'not-found',
      `the run folder ${run} cannot be seen here: later trainings read what earlier ones left in it; give an \`out\` ` +
        'that all ranks share',
      { option: 'out' },
    );
  const machine = { threads: threadsOfRank(), ...machineOptions(trainingOptions, options), signal };
  const pool = poolFor(machine);
  try {
    for (;;) {
      const order = await ranks.share<Order>(undefined);
      if ('result' in order) return order.result as Result;
      const part = ranks.part();
      try {
        yield* trainAs('train', imagesTold(images, order), machine, { pool, ranks: part });
      } catch {
        // The first rank knows it and decides: it goes on, or ends all at the next exchange.
      }
    }
  } finally {
    await pool.close();
  }
}

/** How several ranks walk through a chain. */
export const inCrew = {
  follow: followChain,
  end: (ranks: Ranks, result: unknown): Promise<unknown> => ranks.share<Order>({ result }),
};

/** Throws `usage` where one of these trainings cannot be divided among the ranks. */
export function refuseUndivided({ ranks }: { readonly ranks: Ranks }, trainings: readonly TrainOptions[]): void {
  if (ranks.size === 1) return;
  for (const training of trainings) {
    const settings = resolveSettings(undefined, useful(training));
    const { mode, batchSize } = settings;
    if (isFrozen(mode) || batchSize === 'auto') continue;
    assertDivisible(techniqueOf(settings), settings, batchSize, ranks);
  }
}
