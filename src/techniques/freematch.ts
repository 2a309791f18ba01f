import type { Value } from '../graph/graph.js';
import type { GraphMath } from '../graph/math.js';
import { maskObserver } from './mask-observer.js';
import {
  aligned,
  matchingLoss,
  matchingOptions,
  meanOfAll,
  passes,
  runningAverage,
  sumOfAll,
  weakAndStrong,
} from './parts.js';
import { technique, type LossContext } from './technique.js';

/**
 * FreeMatch (Wang et al. 2023): FixMatch with thresholds that follow how sure the network is, in
 * all and of each class, and a term that keeps predictions apart. With p = softmax(weak), q =
 * softmax(strong), c = argmax p:
 *
 *   tau = running mean of max p       p~ = running mean of p       h~ = running mean of onehot(c)
 *   loss = mean CE(label, x)
 *        + lambda * mean over the whole unlabelled batch of [max p >= tau p~(c) / max p~] CE(c, strong)
 *        - fairness * H(norm(p~ / h~), norm(p^ / h^))
 *
 * H is the cross-entropy, norm makes a sum of 1; p^ and h^ are the mean of q and of onehot(argmax
 * q) over the images that count. The running means begin at 1 / classes. No gradient goes through
 * p, which for short trainings may be aligned (`aligned`).
 */
export const freematch = technique({
  name: 'freematch',
  says: 'FixMatch with thresholds that follow how sure the network is',
  source: 'Wang et al. 2023, "FreeMatch: self-adaptive thresholding for semi-supervised learning"',
  needs: { labels: true, unlabelled: true },
  options: ['alignment', 'fairnessWeight', ...matchingOptions],
  views: weakAndStrong,
  observer: maskObserver,
  loss: (context, options) => {
    const { math: m, classes, detach } = context;
    const { runningDecay: decay, fairnessWeight } = options;
    const { weak, ...logits } = passes(context, ['labelled'], options.weakPass);
    const p = aligned(context, detach(m.softmax(weak)), options, detach(m.softmax(logits.labelled)));
    const label = m.argmax(p),
      confidence = m.maxClasses(p);
    const chosen = m.oneHot(label, classes);
    const average = (name: string, rows: Value): Value =>
      runningAverage(context, name, { value: meanOfAll(context, rows), decay });
    const tau = average('threshold', confidence),
      predicted = average('predictions', p),
      histogram = average('histogram', chosen);
    const thresholds = m.mul(tau, m.div(predicted, m.reduceMax(predicted, [0])));
    const weight = m.mask('GreaterOrEqual', confidence, m.sumClasses(m.mul(chosen, thresholds)));
    const matched = matchingLoss(context, logits, { label, confidence, weight }, options);
    // h~ of a class that is never predicted vanishes.
    const fair = normalised(m, m.div(predicted, m.max(histogram, 1e-6)));
    const fairness = m.sum(m.mul(fair, m.log(m.add(balance(context, logits.strong, weight), 1e-12))), [0], false);
    const counted = m.mul(fairness, m.min(sumOfAll(context, weight), 1));
    return {
      ...matched,
      loss: m.add(matched.loss, m.mul(counted, fairnessWeight)),
      metrics: { ...matched.metrics, fairness: counted },
    };
  },
});

/** norm(p^ / h^), [classes]: zero for a class that no image that counts is taken for. */
function balance(context: LossContext, strong: Value, weight: Value): Value {
  const { math: m, classes } = context;
  const q = m.softmax(strong);
  const sum = (x: Value): Value => sumOfAll(context, m.mul(m.column(weight), x));
  const count = sum(m.oneHot(m.argmax(q), classes));
  return normalised(m, m.mul(sum(q), m.div(m.min(count, 1), m.max(count, 1))));
}

/** x / sum x, [classes]; zeros stay. */
const normalised = (m: GraphMath, x: Value): Value => m.div(x, m.max(m.sum(x, [0]), 1e-12));
