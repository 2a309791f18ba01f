import { maskObserver } from './mask-observer.js';
import { aligned, limitOf, matchingLoss, matchingOptions, passes, weakAndStrong } from './parts.js';
import { technique } from './technique.js';

/**
 * FixMatch (Sohn et al. 2020): the network's own confident prediction on a weakly augmented image
 * is the label of the same image strongly augmented. With p = softmax(weak):
 *
 *   loss = mean CE(label, x) + lambda * mean over the whole unlabelled batch of
 *          [max p >= threshold] CE(argmax p, strong)
 *
 * Labelled, weak and strong images go through the network in one pass, so that batch normalisation
 * sees them together. No gradient goes through p. For short trainings p may be aligned (`aligned`)
 * and the threshold relative (`limitOf`), which the paper does not.
 */
export const fixmatch = technique({
  name: 'fixmatch',
  says: 'confident predictions on weak views are the labels of strong views',
  source: 'Sohn et al. 2020, "FixMatch: simplifying semi-supervised learning with consistency and confidence"',
  needs: { labels: true, unlabelled: true },
  options: ['threshold', 'alignment', ...matchingOptions],
  views: weakAndStrong,
  observer: maskObserver,
  loss: (context, options) => {
    const { math: m, detach } = context;
    const { weak, ...logits } = passes(context, ['labelled'], options.weakPass);
    const known = detach(m.softmax(logits.labelled));
    const p = aligned(context, detach(m.softmax(weak)), options, known);
    const confidence = m.maxClasses(p);
    const weight = m.mask('GreaterOrEqual', confidence, limitOf(context, options, known));
    return matchingLoss(context, logits, { label: m.argmax(p), confidence, weight }, options);
  },
});
