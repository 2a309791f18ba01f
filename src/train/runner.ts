import type { Batch } from '../data/loader.js';
import type { Engine } from '../engine/engine.js';
import { PupilError } from '../errors.js';
import { alone, type Ranks } from '../parallel/ranks.js';
import { float32, type Tensor } from '../tensor.js';
import { openReduction } from './reduction.js';
import { compileInStages } from './stages.js';
import type { TrainingStep } from './step.js';
import type { StepPosition } from './transforms.js';

/** One (micro-)batch, ready to be fed. */
export interface TrainBatch {
  readonly feeds: Readonly<Record<string, Tensor>>;
  /**
   * The files it was made of, for messages; the buffers of `feeds` are given away to the engine.
   */
  readonly files: readonly string[];
  /** What it was put together from by name, for the source's observer and for pictures. */
  readonly views?: Readonly<Record<string, Batch>>;
}

/**
 * What a technique does on the host between steps: it sees what each step gave, and may feed the
 * next. What it remembers is saved with every checkpoint, so that a resumed run goes on bit for
 * bit.
 */
export interface Observer {
  /** Feeds that depend on the steps before. */
  feeds?(): Readonly<Record<string, Tensor>>;
  /**
   * Called after each (micro-)batch with the objective's observed values; on each of several ranks with those of the
   * whole batch, so that all remember the same.
   */
  observe(observed: Readonly<Record<string, Tensor>>, batch: TrainBatch): void;
  /** What was seen since the last summary, as JSON for the epoch's record; counting begins anew. */
  summary(): Readonly<Record<string, unknown>>;
  /** All that it remembers. */
  save(): ReadonlyMap<string, Tensor>;
  /** Goes on from what `save` gave. */
  restore(tensors: ReadonlyMap<string, Tensor>): void;
}

/** Where batches come from: the same (epoch, start) must give the same batches in every session. */
export interface BatchSource {
  /** Micro-batches in an epoch. */
  readonly stepsPerEpoch: number;
  batches(epoch: number, startStep: number): AsyncIterable<TrainBatch>;
  readonly observer?: Observer | undefined;
}

/** Batches taken one by one, the next being made while the engine is busy with one. */
export interface BatchFeed {
  take(): Promise<TrainBatch>;
  /** Begins making the next batch. */
  prepare(): void;
  close(): Promise<void>;
}

/** The batches of an epoch from `start` on. */
export function openFeed(source: BatchSource, epoch: number, start: number): BatchFeed {
  const iterator = source.batches(epoch, start)[Symbol.asyncIterator]();
  let next: Promise<IteratorResult<TrainBatch>> | undefined;
  const prepare = (): void => {
    if (next) return;
    next = iterator.next();
    next.catch(() => undefined); // reported where it is taken
  };
  prepare();
  return {
    prepare,
    async take() {
      prepare();
      const { value, done } = await next!;
      next = undefined;
      if (done) throw new Error(`the loader ended early in epoch ${epoch}`);
      return value;
    },
    async close() {
      await iterator.return?.();
    },
  };
}

/** What one optimizer step gave. */
export interface StepResult {
  /** Mean over the micro-batches. */
  readonly loss: number;
  /** The objective's scalars, summed over the micro-batches; of several ranks, their means but for counts. */
  readonly sums: Readonly<Record<string, number>>;
  /**
   * The files of the micro-batch whose loss is not finite, when there is one; the update was then
   * left out if it could be.
   */
  readonly badBatch: readonly string[] | undefined;
}

/** A compiled training step. */
export interface StepRunner {
  /** Optimizer steps in an epoch of a source. Throws `usage` when there are none. */
  stepsPerEpoch(source: BatchSource): number;
  run(at: Omit<StepPosition, 'microStep'>, feed: BatchFeed, observer?: Observer): Promise<StepResult>;
  close(): Promise<void>;
}

/**
 * Compiles the programs of a step. The store must hold its state before the first run. With `ranks`
 * all take the step together, each on its part of the batch.
 */
export async function compileStep(engine: Engine, step: TrainingStep, ranks: Ranks = alone): Promise<StepRunner> {
  const main = await compileInStages(engine, step.main, ranks);
  const apply = step.apply && (await engine.compile(step.apply.graph, { state: step.apply.state }));
  const reduce = await openReduction({ engine, step, ranks });
  return {
    stepsPerEpoch(source) {
      const count = Math.floor(source.stepsPerEpoch / step.accumulate);
      if (count > 0) return count;
      throw new PupilError(
        'usage',
        `\`accumulate: ${step.accumulate}\`: an epoch has only ${source.stepsPerEpoch} batches; ` +
          'accumulate fewer, or use a smaller `batchSize`',
        { option: 'accumulate' },
      );
    },
    async run(at, feed, observer) {
      const sums: Record<string, number> = {};
      let badBatch: readonly string[] | undefined;
      for (let microStep = 0; microStep < step.accumulate; microStep++) {
        const batch = await feed.take();
        const running = main.run(
          { ...step.main.feeds({ ...at, microStep }), ...batch.feeds, ...observer?.feeds?.() },
          { transfer: true },
        );
        // The loader works on the next batch while the engine runs this one.
        feed.prepare();
        const outputs = await running;
        const observed = observer && (await gather(step.observed, outputs, ranks));
        for (const name of ['loss', ...step.metrics]) sums[name] = (sums[name] ?? 0) + Number(outputs[name]!.data[0]);
        if (!Number.isFinite(sums['loss'])) {
          badBatch ??= batch.files;
          if (ranks.size === 1) break;
        } else if (observed) observer?.observe(observed, batch);
      }
      await reduce(sums);
      if (!Number.isFinite(sums['loss'])) return { loss: sums['loss'] ?? NaN, sums, badBatch: badBatch ?? [] };
      if (apply && step.apply) await apply.run(step.apply.feeds({ ...at, microStep: 0 }));
      const { loss = NaN, ...rest } = sums;
      return { loss: loss / step.accumulate, sums: rest, badBatch: undefined };
    },
    async close() {
      await main.close();
      await apply?.close();
    },
  };
}

/** Values of all ranks, row after row as in the whole batch; single numbers are the same everywhere. */
async function gather(
  names: readonly string[],
  own: Readonly<Record<string, Tensor>>,
  ranks: Ranks,
): Promise<Readonly<Record<string, Tensor>>> {
  if (ranks.size === 1) return own;
  const all = names.map((name) => {
    const { dims, data } = own[name]!;
    if (dims.length === 0) return [name, float32(dims, data as Float32Array)] as const;
    const [rows = 1, ...rest] = dims;
    const whole = float32([rows * ranks.size, ...rest], new Float32Array(data.length * ranks.size));
    whole.data.set(data as Float32Array, ranks.rank * data.length);
    return [name, whole] as const;
  });
  await ranks.sum(all.flatMap(([, { dims, data }]) => (dims.length === 0 ? [] : [data])));
  return Object.fromEntries(all);
}
