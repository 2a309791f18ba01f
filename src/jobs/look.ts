/** What a network sees of many images, which need not be in memory at once. */
import { createPool, type Pool } from '../data/pool.js';
import type { Sample, Unreadable } from '../data/sample.js';
import type { Engine } from '../engine/engine.js';
import { createEngine } from '../engine/index.js';
import type { Model } from '../models/model.js';
import type { SuggestOptions } from '../options/tools.js';
import type { RunEvent } from '../runs/events.js';
import { earlierLayers } from '../runs/features.js';
import { reporting } from '../runs/relay.js';
import { featureGraph, type Features } from '../techniques/features.js';
import { featuresOf } from '../techniques/stored-features.js';
import { concatenate } from '../tensor.js';
import { inChunks } from './label/images.js';

/** Images that could be decoded, and what the network sees of them. */
export interface Seen {
  readonly samples: readonly Sample[];
  readonly layers: readonly Features[];
  readonly unreadable: readonly Unreadable[];
}

type LookerOptions = Pick<SuggestOptions, 'engine' | 'threads' | 'workers' | 'featureCache' | 'signal'> & {
  readonly pool?: Pool | undefined;
};

/** A network that is ready to look at images, and the engine for what is computed from its features. */
export interface Looker {
  readonly engine: Engine;
  /** Where it decodes images. */
  readonly pool: Pool;
  /**
   * Features of the last layer and an earlier one. What is decoded is left to the pool, and in the cache to commands
   * that follow; what does not fit in the pool's memory is on disk alone.
   */
  lookAt(all: readonly Sample[]): AsyncGenerator<RunEvent, Seen, undefined>;
  close(): Promise<void>;
}

/** Opens a network, in float32. `featureCache`: a folder of features; `pool`: of the caller, who closes it. */
export async function openLooker(
  model: Model,
  { engine: name = 'auto', threads, workers, featureCache, signal, pool: given }: LookerOptions,
): Promise<Looker> {
  const engine = await createEngine(name, {
    purpose: 'evaluation',
    precision: 'f32',
    threads,
    graphs: () => [featureGraph(model, earlierLayers(model))],
  });
  const pool = given ?? createPool({ workers, signal });
  return {
    engine,
    pool,
    lookAt: (all) => lookAt({ engine, model, pool, cache: featureCache, signal }, all),
    async close() {
      await engine.close();
      if (given === undefined) await pool.close();
    },
  };
}

interface Network {
  readonly engine: Engine;
  readonly model: Model;
  readonly pool: Pool;
  readonly cache: string | undefined;
  readonly signal: AbortSignal | undefined;
}

async function* lookAt(
  { engine, model, pool, cache, signal }: Network,
  all: readonly Sample[],
): AsyncGenerator<RunEvent, Seen, undefined> {
  const earlier = earlierLayers(model);
  const samples: Sample[] = [],
    unreadable: Unreadable[] = [],
    parts: (readonly Features[])[] = [];
  yield* reporting('features', 'images', async (report) => {
    for await (const images of inChunks(all, { pool, model, share: true, signal })) {
      unreadable.push(...images.unreadable);
      const before = samples.length + unreadable.length;
      samples.push(...images.samples);
      const subset = [...images.samples.keys()];
      const onProgress = (done: number): void => report(before + done, all.length);
      parts.push(await featuresOf(engine, model, { images, subset, earlier, cache, onProgress, signal }));
    }
  });
  const layers = parts[0]!.map(({ size }, layer) => ({
    features: concatenate(parts.map((part) => part[layer]!.features)),
    size,
  }));
  return { samples, layers, unreadable };
}
