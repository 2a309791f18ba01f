import { float32 } from '../tensor.js';
import type { Row } from './row-graph.js';

const image = [2, 3, 5, 6];
const statistics = [float32([3], [0.1, -0.3, 0.5]), float32([3], [0.9, 1.7, 0.4])];

/** Normalisations over batches, features and planes. */
export const normalizationRows: readonly Row[] = [
  {
    op: 'BatchNormalization',
    about: 'in training',
    inputs: [image, [3], [3], ...statistics],
    attributes: { training_mode: 1, momentum: 0, epsilon: 1e-3 },
    outputs: 3,
  },
  {
    op: 'BatchNormalization',
    about: 'frozen',
    inputs: [image, [3], [3], ...statistics],
    attributes: { epsilon: 1e-3 },
  },
  {
    op: 'BatchNormalization',
    about: 'in training, of features',
    inputs: [[6, 3], [3], [3], ...statistics],
    attributes: { training_mode: 1, momentum: 0 },
    outputs: 3,
  },
  {
    op: 'BatchNormalization',
    about: 'by statistics that are computed',
    inputs: [image, [3], [3], [3], { dims: [3], low: 0.3, high: 2.5 }],
    attributes: { epsilon: 1e-3 },
  },
  {
    op: 'BatchNormalization',
    about: 'in training, its statistics seen',
    inputs: [image, [3], [3], ...statistics],
    attributes: { training_mode: 1, momentum: 0, epsilon: 1e-3 },
    outputs: 3,
    seen: [0, 1, 2],
  },
  {
    op: 'LayerNormalization',
    about: 'three outputs',
    inputs: [[2, 3, 6], [6], [6]],
    attributes: { epsilon: 1e-3 },
    outputs: 3,
  },
  {
    op: 'LayerNormalization',
    about: 'one output, two axes, no bias',
    inputs: [
      [2, 3, 4],
      [3, 4],
    ],
    attributes: { axis: 1, epsilon: 1e-3 },
    outputs: 1,
  },
  { op: 'InstanceNormalization', inputs: [image, [3], [3]], attributes: { epsilon: 1e-3 } },
];
