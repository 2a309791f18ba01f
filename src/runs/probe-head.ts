import { fitProbe, type ProbeResult } from '../techniques/probe.js';
import type { RunContext, TrainedModel } from './context.js';
import type { RunEvent } from './events.js';
import { runFeatures } from './features.js';
import { indexesOf } from './images.js';

/**
 * Solves the head on features computed once. Held-out images are the selection images, or every
 * fold in turn.
 */
export async function* probeHead(
  context: RunContext,
  learn: readonly number[],
  select: readonly number[],
): AsyncGenerator<RunEvent, { result: ProbeResult; heldOut: TrainedModel['heldOut'] }, undefined> {
  const { engine, images, run, settings } = context;
  const { selection } = images.split;
  const used = [...learn, ...select];
  const [seen] = yield* runFeatures(context, { subset: used });
  const classes = images.dataset.classes.length;
  const labels = used.map((index) => images.evaluation.samples[index]!.label);
  const place = new Map(used.map((index, i) => [index, i]));
  const folds =
    selection.kind === 'folds'
      ? selection.folds.map((fold) => indexesOf(images.evaluation, fold.selection).map((index) => place.get(index)!))
      : select.length > 0
        ? [select.map((index) => place.get(index)!)]
        : [];
  // val is for choosing, not for learning. Images held out of train come back once the penalty is
  // chosen, unless fine-tuning still needs them.
  const refit = selection.kind === 'holdout' && settings.mode === 'probe' ? used : learn;
  const result = await fitProbe(
    engine,
    { ...seen!, labels, classes },
    folds,
    refit.map((_, i) => i),
  );
  await run.log({ type: 'probe', l2: result.l2 });
  return { result, heldOut: { logits: result.heldOut.logits, indexes: result.heldOut.indexes.map((i) => used[i]!) } };
}
