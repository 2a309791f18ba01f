import { correctCount } from '../train/losses.js';
import { labelLoss } from '../train/objective.js';
import { labelOptions, mixingOptions } from './parts.js';
import { technique } from './technique.js';

/**
 * Joint training on labels and pseudo-labels (Lee 2013; Xie et al. 2020, algorithm 1): both kinds
 * side by side in every batch, `unlabelledRatio` times as many of the second,
 *
 *   loss = mean CE(label, x) + lambda * mean CE(pseudo-label, u)
 *
 * pseudo-labels hard or soft as the file has them.
 */
export const pseudoLabels = technique({
  name: 'pseudo-labels',
  says: 'labels and a file of pseudo-labels together',
  source: 'Lee 2013, "Pseudo-label: the simple and efficient semi-supervised learning method for deep neural networks"',
  needs: { labels: true, unlabelled: true, pseudoLabels: true },
  options: ['pseudoLabels', 'unlabelledRatio', 'unlabelledWeight', ...labelOptions, ...mixingOptions],
  views: [
    { name: 'labelled', images: 'labelled', augment: 'augment', perLabelled: 1, targets: true },
    {
      name: 'pseudo-labelled',
      images: 'pseudo-labelled',
      augment: 'augment',
      perLabelled: 'unlabelledRatio',
      targets: true,
    },
  ],
  loss: ({ math: m, forward, targets }, { unlabelledWeight, losses, labelSmoothing }) => {
    const { labelled, 'pseudo-labelled': pseudo } = forward(['labelled', 'pseudo-labelled']);
    const own = labelLoss(m, labelled, targets('labelled'), { losses, labelSmoothing });
    const others = labelLoss(m, pseudo, targets('pseudo-labelled'), { losses });
    return {
      loss: m.add(own, m.mul(others, unlabelledWeight)),
      metrics: { correct: correctCount(m, labelled, targets('labelled')), unsupervised: others },
    };
  },
});
