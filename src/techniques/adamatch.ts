import type { Value } from '../graph/graph.js';
import { labelLoss } from '../train/objective.js';
import { maskObserver } from './mask-observer.js';
import { aligned, familyOptions, limitOf, matchingLoss, meanOfAll, passes, weakAndStrong } from './parts.js';
import { technique } from './technique.js';

const [, weak, strong] = weakAndStrong;

/**
 * AdaMatch (Berthelot et al. 2022): pseudo-labels aligned to the labelled images, a threshold
 * relative to how sure the network is of these, and logits that belong to no batch statistics
 * alone. Labelled images, too, have a weak and a strong view. Z' are the logits of all views in one
 * pass, Z'' of the labelled ones in a pass of their own, and for each entry u is uniform in [0, 1):
 *
 *   Z = Z' + u (Z'' - Z')   for labelled images;   Z = Z'   for the others
 *   y~ = norm(softmax(weak) E[softmax(labelled weak)] / E[softmax(weak)])
 *   loss = (mean CE(label, labelled weak) + mean CE(label, labelled strong)) / 2
 *        + mu(t) * mean over the whole unlabelled batch of [max y~ >= c] CE(argmax y~, strong)
 *   c = threshold * mean over the labelled batch of max softmax(labelled weak)
 *   mu(t) = lambda (1/2 - cos(pi min(1, t / T)) / 2),   T = ramp-up * all steps
 *
 * E are running means, which begin at 1 / classes. The pass of its own leaves the statistics of
 * BatchNormalization alone. No gradient goes through y~ and c.
 */
export const adamatch = technique({
  name: 'adamatch',
  says: 'FixMatch with pseudo-labels and threshold aligned to the labelled images',
  source: 'Berthelot et al. 2022, "AdaMatch: a unified approach to semi-supervised learning and domain adaptation"',
  needs: { labels: true, unlabelled: true },
  // Its labelled images have two views: both would have to be mixed alike.
  options: ['threshold', 'alignment', ...familyOptions],
  views: [
    { name: 'labelled', images: 'labelled', augment: 'augment', perLabelled: 1, targets: true, cost: 2 },
    { name: 'labelled strong', images: 'labelled', augment: 'strong', perLabelled: 1, cost: 2 },
    weak,
    strong,
  ],
  observer: maskObserver,
  loss: (context, options) => {
    const { math: m, classes, forward, detach, targets, uniform } = context;
    const joint = passes(context, ['labelled', 'labelled strong'], options.weakPass);
    const alone = forward(['labelled', 'labelled strong'], { updateStatistics: false });
    const interpolated = (view: keyof typeof alone): Value => {
      const u = uniform(`interpolation:${view}`, [Number(joint[view].shape[0]), classes]);
      return m.add(joint[view], m.mul(m.sub(alone[view], joint[view]), u));
    };
    const labelled = interpolated('labelled'),
      labelledStrong = interpolated('labelled strong');
    const known = detach(m.softmax(labelled));
    const y = aligned(context, detach(m.softmax(joint.weak)), options, known);
    const confidence = m.maxClasses(y);
    const { threshold } = options;
    const limit =
      threshold === 'relative'
        ? limitOf(context, options, known)
        : m.mul(meanOfAll(context, m.maxClasses(known)), threshold);
    const weight = m.mask('GreaterOrEqual', confidence, limit);
    const ofLabels = (logits: Value): Value => labelLoss(m, logits, targets('labelled'), options);
    return matchingLoss(
      context,
      { labelled, strong: joint.strong, supervised: m.mul(m.add(ofLabels(labelled), ofLabels(labelledStrong)), 0.5) },
      { label: m.argmax(y), confidence, weight },
      options,
    );
  },
});
