import type { Engine } from '../engine/engine.js';
import type { Model } from '../models/model.js';
import type { Ranks } from '../parallel/ranks.js';
import type { Teacher } from '../techniques/teacher.js';
import { trainInPhases } from './descent.js';
import type { RunEvent, TrainResult } from './events.js';
import type { RunImages } from './images.js';
import { nextOrder } from './ranks.js';

/** Takes part in every training that the first rank begins, until it has ended; returns its result. */
export async function* trainAsTold(context: {
  readonly engine: Engine;
  readonly model: Model;
  readonly images: RunImages;
  readonly teachers: readonly Teacher[];
  readonly signal: AbortSignal | undefined;
  readonly ranks: Ranks;
}): AsyncGenerator<RunEvent, TrainResult, undefined> {
  for (;;) {
    const order = await nextOrder(context.ranks);
    if ('result' in order) return order.result;
    const { resumed, ...training } = order;
    // Its weights come with the others' at the beginning of the phase.
    yield* trainInPhases({ ...context, ...training, from: resumed && { ...resumed, tensors: new Map() } });
  }
}
