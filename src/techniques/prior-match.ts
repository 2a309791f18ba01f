import { correctCount, crossEntropy } from '../train/losses.js';
import { passes } from './parts.js';
import { technique } from './technique.js';

/** A class that the file rules out is unlikely, not impossible. */
const leastPrior = 1e-4;

/**
 * Consistency with a prior: FixMatch (Sohn et al. 2020) where a file of soft labels, such as those
 * of a consensus, has a say in the label of every image. With q the label of the file, p =
 * softmax(weak) and w the weight of the prior:
 *
 *   y = norm(q^w p^(1 - w))
 *   loss = mean CE(y, strong)
 *
 * In place of a threshold, what the file is unsure of is learned softly, and the network's own
 * answer decides more the surer it is. Labels of the images themselves are not looked at: what a
 * labelled image is taught stands in the file, too. Where that is what others said of it that did
 * not know its label (cross-fitting), what the network says of labelled images stays honest.
 * Weak views go through the network in a pass of their own, which leaves the statistics of
 * BatchNormalization alone. No gradient goes through y.
 */
export const priorMatch = technique({
  name: 'prior-match',
  says: 'predictions on weak views, with a file of soft labels as their prior, are the labels of strong views',
  source: 'Sohn et al. 2020, "FixMatch: simplifying semi-supervised learning with consistency and confidence", altered',
  needs: { labels: 'optional', unlabelled: true, pseudoLabels: true },
  options: ['pseudoLabels', 'priorWeight', 'strong'],
  views: [
    { name: 'strong', images: 'pseudo-labelled', augment: 'strong', perLabelled: 1 },
    { name: 'weak', images: 'pseudo-labelled', augment: 'weak', perLabelled: 1, targets: true, cost: 1 / 3 },
  ],
  loss: (context, { priorWeight }) => {
    const { math: m, targets, detach } = context;
    const { strong, weak } = passes(context, [], 'apart');
    const prior = targets('weak');
    const own = m.mul(detach(m.logSoftmax(weak)), 1 - priorWeight);
    const y = m.softmax(m.add(own, m.mul(m.log(m.add(prior, leastPrior)), priorWeight)));
    return {
      loss: m.meanBatch(crossEntropy(m, strong, y)),
      // Agreement with the file: there may be no labels.
      metrics: { correct: correctCount(m, weak, prior) },
    };
  },
});
