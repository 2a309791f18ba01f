import { numberOf } from '../attributes.js';
import type { GradientContext, GradientTable } from '../gradients.js';
import { explicitWindow } from './convolution.js';
import { dimOf, dimsOf, expandLike, inputOf, outputGradient } from './common.js';
import { math } from '../math.js';
import { sizeOf } from '../../tensor.js';

const ceilMode = (context: GradientContext): number => numberOf(context.attributes, 'ceil_mode', 0);

/** Pools. Windowed ones stay whole; the average over everything is spread evenly. */
export const pooling: GradientTable = {
  MaxPool: (context) => [
    context.builder.op('MaxPoolGrad', [inputOf(context, 0), context.outputs[0]!, outputGradient(context)], {
      ...explicitWindow(context),
      ceil_mode: ceilMode(context),
    }),
  ],
  GlobalMaxPool: (context) => [
    context.builder.op('MaxPoolGrad', [inputOf(context, 0), context.outputs[0]!, outputGradient(context)], {
      ...explicitWindow(context, dimsOf(context, inputOf(context, 0)).slice(2)),
      ceil_mode: 0,
    }),
  ],
  AveragePool: (context) => [
    context.builder.op('AveragePoolGrad', [outputGradient(context)], {
      ...explicitWindow(context),
      ceil_mode: ceilMode(context),
      count_include_pad: numberOf(context.attributes, 'count_include_pad', 0),
      input_shape: dimsOf(context, inputOf(context, 0)),
    }),
  ],
  GlobalAveragePool: (context) => {
    const x = inputOf(context, 0),
      count = sizeOf(x.shape.slice(2).map((dim) => dimOf(context, dim)));
    return [expandLike(context.builder, math(context.builder).mul(outputGradient(context), 1 / count), x)];
  },
};
