import type { Value } from '../graph/graph.js';
import { maskObserver } from './mask-observer.js';
import {
  filled,
  limitOf,
  matchingLoss,
  matchingOptions,
  meanOfAll,
  passes,
  runningAverage,
  weakAndStrong,
} from './parts.js';
import { technique } from './technique.js';

/**
 * DebiasMatch (Wang et al. 2022): FixMatch, pseudo-labels freed of the classes that the network
 * prefers. With p^ the running mean of softmax(weak), which begins at 1 / classes, and y =
 * softmax(weak - strength log p^), p^ as the step before has left it:
 *
 *   loss = mean CE(label, x) + lambda * mean over the whole unlabelled batch of
 *          [max y >= threshold] CE(argmax y, strong + strength log p^)
 *
 * the second p^ with this batch in it: a margin, larger for the classes that are predicted less. No
 * gradient goes through y and p^. For short trainings the threshold may be relative (`limitOf`);
 * strength 0.5 is half-way between what is found and equal shares of the classes already.
 */
export const debiasmatch = technique({
  name: 'debiasmatch',
  says: 'FixMatch, pseudo-labels freed of the classes that the network prefers',
  source: 'Wang et al. 2022, "Debiased learning from naturally imbalanced pseudo-labels"',
  needs: { labels: true, unlabelled: true },
  options: ['threshold', 'debiasStrength', ...matchingOptions],
  views: weakAndStrong,
  observer: maskObserver,
  loss: (context, options) => {
    const { runningDecay: decay, debiasStrength } = options;
    const { math: m, classes, detach, memory } = context;
    const { labelled, weak, strong } = passes(context, ['labelled'], options.weakPass);
    const scores = detach(weak);
    // A class that is never predicted has a mean that vanishes.
    const margin = (mean: Value): Value => m.mul(m.log(m.max(mean, 1e-12)), debiasStrength);
    const y = m.softmax(m.sub(scores, margin(memory('predictions', filled([classes], 1 / classes)))));
    const confidence = m.maxClasses(y);
    const known = detach(m.softmax(labelled));
    const weight = m.mask('GreaterOrEqual', confidence, limitOf(context, options, known));
    const value = meanOfAll(context, m.softmax(scores));
    const mean = runningAverage(context, 'predictions', { value, decay });
    const apart = m.add(strong, margin(mean));
    return matchingLoss(context, { labelled, strong: apart }, { label: m.argmax(y), confidence, weight }, options);
  },
});
