import type { Value } from '../graph/graph.js';
import { maskObserver } from './mask-observer.js';
import { aligned, matchingLoss, matchingOptions, meanOfAll, passes, runningAverage, weakAndStrong } from './parts.js';
import { technique, type LossContext, type RunningDecay } from './technique.js';

/**
 * SoftMatch (Chen et al. 2023): every prediction counts, the less the less sure it is. With p =
 * softmax(weak), aligned to equal shares of the classes (`aligned`):
 *
 *   loss   = mean CE(label, x) + lambda * mean over the whole unlabelled batch of
 *            weight CE(argmax softmax(weak), strong)
 *   weight = exp(-n^2 (mu - max p)^2 / 2 sigma^2) where max p < mu, else 1;   n = 2
 *
 * mu and sigma^2 are running averages of the mean and the variance of the confidence, which begin
 * at 1 / classes and 1.
 */
export const softmatch = technique({
  name: 'softmatch',
  says: 'every prediction counts, the less the less sure it is',
  source: 'Chen et al. 2023, "SoftMatch: addressing the quantity-quality trade-off in semi-supervised learning"',
  needs: { labels: true, unlabelled: true },
  options: ['alignment', ...matchingOptions],
  views: weakAndStrong,
  observer: maskObserver,
  loss: (context, options) => {
    const { math: m, detach } = context;
    const { weak, ...logits } = passes(context, ['labelled'], options.weakPass);
    const p = detach(m.softmax(weak));
    const confidence = m.maxClasses(aligned(context, p, options, detach(m.softmax(logits.labelled))));
    const weight = gaussianWeight(context, confidence, options.runningDecay);
    return matchingLoss(context, logits, { label: m.argmax(p), confidence, weight }, options);
  },
});

/** The truncated Gaussian of the confidence. */
function gaussianWeight(context: LossContext, confidence: Value, decay: RunningDecay): Value {
  const { math: m, ranks } = context;
  const count = Number(confidence.shape[0]) * ranks;
  const batchMean = meanOfAll(context, confidence);
  // Bessel's correction as in the authors' code; a batch of one has none.
  const deviation = meanOfAll(context, m.square(m.sub(confidence, batchMean)));
  const batchVariance = m.mul(deviation, count / Math.max(count - 1, 1));
  const mu = runningAverage(context, 'mean', { value: batchMean, decay });
  const variance = runningAverage(context, 'variance', { value: batchVariance, initial: 1, decay });
  const below = m.min(m.sub(confidence, mu), 0);
  const spread = m.add(m.mul(variance, 2 / 2 ** 2), 1e-8);
  return m.exp(m.neg(m.div(m.square(below), spread)));
}
