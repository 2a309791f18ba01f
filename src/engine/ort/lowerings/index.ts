import { numberOf, requiredList } from '../../../graph/attributes.js';
import type { Lowering } from '../lowering.js';
import { blockedLowerings } from './blocked-rules.js';
import { convolutionOf, plainFilterGradient, plainInputGradient, windowOver } from './convolution.js';
import { masks } from './masks.js';
import { batchNormalizationGradient, layerNormalizationGradient, trainedNormalization } from './normalization.js';
import { averagePoolGradient, maxPoolGradient } from './pooling.js';
import { ofOtherRank } from './spatial.js';

/** How each op is replaced in the plain layout: what is right for every shape. */
const plainLowerings: Readonly<Record<string, Lowering>> = {
  ConvGradInput: ({ e, node, input }) => {
    const [dy, w] = [input(0), input(1)];
    return [
      plainInputGradient(
        e,
        dy,
        w,
        convolutionOf(node.name, node.attributes, requiredList(node.attributes, 'input_shape'), w.shape),
      ),
    ];
  },
  ConvGradWeight: ({ e, node, input, choices }) => {
    const [x, dy] = [input(0), input(1)];
    const filters = [dy.shape[1]!, 0, ...requiredList(node.attributes, 'kernel_shape')];
    const c = convolutionOf(node.name, node.attributes, x.shape, filters);
    return [plainFilterGradient(e, dy, x, c, choices.filterGradient(c))];
  },
  BatchNormalization: ({ e, node, input }) => {
    if (numberOf(node.attributes, 'training_mode', 0) !== 1) return undefined;
    return trainedNormalization(e, input(0), { scale: input(1), bias: input(2) }, [input(3), input(4)], {
      epsilon: numberOf(node.attributes, 'epsilon', 1e-5),
      momentum: numberOf(node.attributes, 'momentum', 0.9),
    });
  },
  BatchNormalizationGrad: ({ e, node, input }) => {
    const { dx, dscale, dbias } = batchNormalizationGradient(e, input(0), input(1), input(2), {
      mean: input(3),
      variance: input(4),
      epsilon: numberOf(node.attributes, 'epsilon', 1e-5),
      isOfBatch: numberOf(node.attributes, 'training_mode', 0) === 1,
    });
    return [dx, dscale, dbias];
  },
  LayerNormalizationGrad: ({ e, node, input }) => {
    const { dx, dscale, dbias } = layerNormalizationGradient(e, input(0), input(1), input(2), {
      mean: input(3),
      rate: input(4),
      axis: numberOf(node.attributes, 'axis', -1),
    });
    return [dx, dscale, dbias];
  },
  MaxPoolGrad: ({ e, node, input }) => {
    const x = input(0);
    return [
      maxPoolGradient(
        e,
        input(2),
        x,
        windowOver(node.name, node.attributes, x.shape),
        numberOf(node.attributes, 'ceil_mode', 0),
      ),
    ];
  },
  AveragePoolGrad: ({ e, node, input }) => {
    const shape = requiredList(node.attributes, 'input_shape');
    const window = windowOver(node.name, node.attributes, shape);
    return [averagePoolGradient(e, input(0), shape, window, numberOf(node.attributes, 'count_include_pad', 0) === 1)];
  },
};

/** Windows over one axis or three. */
const otherRanks = ofOtherRank(plainLowerings);

/**
 * How each op is replaced, the rules to try in order; ops that none applies to go to onnxruntime as
 * they are.
 */
export const lowerings: ReadonlyMap<string, readonly Lowering[]> = new Map(
  [...new Set([masks, otherRanks, blockedLowerings, plainLowerings].flatMap((table) => Object.keys(table)))].map(
    (op) => [
      op,
      [masks[op], otherRanks[op], blockedLowerings[op], plainLowerings[op]].filter((rule) => rule !== undefined),
    ],
  ),
);
