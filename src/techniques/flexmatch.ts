import { float32, type Tensor } from '../tensor.js';
import type { Observer } from '../train/runner.js';
import { maskObserver, type MaskStatistics } from './mask-observer.js';
import { aligned, limitOf, matchingLoss, matchingOptions, passes, weakAndStrong } from './parts.js';
import { technique, type ObserverContext, type TechniqueOptions } from './technique.js';

/**
 * FlexMatch (Zhang et al. 2021): FixMatch with a threshold for each class, the lower the less of it
 * has been learned. With p = softmax(weak) and c = argmax p:
 *
 *   loss = mean CE(label, x) + lambda * mean over the whole unlabelled batch of
 *          [max p >= threshold(c)] CE(c, strong)
 *   threshold(c) = threshold * M(beta(c)),   M(x) = x / (2 - x)
 *
 * beta(c) is how much of the unlabelled set was last predicted as c with confidence, by the class
 * that has most (or by the images not yet learned, while these are more).
 */
export const flexmatch = technique({
  name: 'flexmatch',
  says: 'FixMatch with a threshold for each class, lower where less is learned',
  source: 'Zhang et al. 2021, "FlexMatch: boosting semi-supervised learning with curriculum pseudo labeling"',
  needs: { labels: true, unlabelled: true },
  options: ['threshold', 'alignment', ...matchingOptions],
  views: weakAndStrong,
  observer: (context, { threshold }) => curriculum(context, threshold),
  loss: (context, options) => {
    const { math: m, classes, detach, input } = context;
    const { weak, ...logits } = passes(context, ['labelled'], options.weakPass);
    const known = detach(m.softmax(logits.labelled));
    const p = aligned(context, detach(m.softmax(weak)), options, known);
    const label = m.argmax(p),
      confidence = m.maxClasses(p);
    const own = m.sumClasses(m.mul(m.oneHot(label, classes), input('thresholds', 'float32', [classes])));
    const limit = limitOf(context, options, known);
    const isRelative = typeof limit !== 'number';
    const weight = m.mask('GreaterOrEqual', confidence, isRelative ? m.mul(own, limit) : own);
    const matched = matchingLoss(context, logits, { label, confidence, weight }, options);
    return isRelative ? { ...matched, observed: { ...matched.observed, limit } } : matched;
  },
});

/**
 * Remembers what each unlabelled image was last predicted as with confidence, and feeds the
 * thresholds that follow.
 */
function curriculum(context: ObserverContext, threshold: TechniqueOptions['threshold']): Observer {
  const { classes, unlabelled } = context;
  const masks = maskObserver(context);
  const place = new Map(unlabelled.map((index, i) => [index, i]));
  /** The class that each image was last predicted as with confidence; -1: not yet. */
  const learned = new Float32Array(unlabelled.length).fill(-1);
  // The loss multiplies a relative threshold itself.
  const most = threshold === 'relative' ? 1 : threshold;
  const thresholds = (): Float32Array => flexibleThresholds(learned, classes.length, most);
  return {
    feeds: () => ({ thresholds: float32([classes.length], thresholds()) }),
    observe(observed, batch) {
      masks.observe(observed, batch);
      const { confidence, predicted, limit } = observed;
      // As the loss has it: a confidence of exactly the threshold is enough.
      const least = limit ? Number(limit.data[0]) : Math.fround(most);
      batch.views!['weak']!.allIndexes.forEach((index, i) => {
        if (Number(confidence!.data[i]) >= least) learned[place.get(index)!] = Number(predicted!.data[i]);
      });
    },
    summary() {
      const limits = thresholds();
      const statistics = masks.summary()['unlabelled'] as MaskStatistics;
      return {
        unlabelled: { ...statistics, thresholds: Object.fromEntries(classes.map((name, c) => [name, limits[c]!])) },
      };
    },
    save: () =>
      new Map<string, Tensor>([...masks.save(), ['observer:learned', float32([learned.length], learned.slice())]]),
    restore(tensors) {
      masks.restore(tensors);
      learned.set((tensors.get('observer:learned')?.data ?? []) as Float32Array);
    },
  };
}

/**
 * threshold * x / (2 - x) with x = count of the class / the largest count, images not yet learned
 * counting as a class.
 */
export function flexibleThresholds(learned: ArrayLike<number>, classes: number, threshold: number): Float32Array {
  const counts = new Float64Array(classes);
  let unlearned = 0;
  for (let i = 0; i < learned.length; i++) {
    if (learned[i]! < 0) unlearned++;
    else counts[learned[i]!]!++;
  }
  const most = Math.max(unlearned, ...counts, 1);
  return Float32Array.from(counts, (n) => {
    const x = n / most;
    return (threshold * x) / (2 - x);
  });
}
