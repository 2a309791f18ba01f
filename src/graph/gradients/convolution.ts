import { numberOf } from '../attributes.js';
import { transposedWindow } from '../evaluate/convolution.js';
import type { Attributes } from '../graph.js';
import type { GradientContext, GradientTable } from '../gradients.js';
import { windowOf } from '../window.js';
import { dimOf, dimsOf, inputOf, outputGradient, range, unsupported } from './common.js';
import { math } from '../math.js';

/** The attributes of a gradient op: those of the forward op with pads as numbers. */
export function explicitWindow(context: GradientContext, kernel?: readonly number[]): Attributes {
  const spatial = inputOf(context, 0)
    .shape.slice(2)
    .map((dim) => dimOf(context, dim));
  const { kernel: kernel_shape, strides, dilations, begin, end } = windowOf(context.attributes, spatial, kernel);
  return { kernel_shape, strides, dilations, pads: [...begin, ...end] };
}

const biasAxes = (rank: number): number[] => range(rank).filter((axis) => axis !== 1);

/**
 * Convolutions. The gradients of input and weight stay whole; the bias gets the sum over batch and
 * space.
 */
export const convolution: GradientTable = {
  Conv: (context) => {
    const { builder } = context,
      x = inputOf(context, 0),
      w = inputOf(context, 1),
      dy = outputGradient(context);
    const attributes = {
      ...explicitWindow(context, dimsOf(context, w).slice(2)),
      group: numberOf(context.attributes, 'group', 1),
    };
    return [
      context.needs(0)
        ? builder.op('ConvGradInput', [dy, w], { ...attributes, input_shape: dimsOf(context, x) })
        : undefined,
      context.needs(1) ? builder.op('ConvGradWeight', [x, dy], attributes) : undefined,
      context.needs(2) ? math(builder).sum(dy, biasAxes(dy.shape.length), false) : undefined,
    ];
  },
  // ConvTranspose is the adjoint of a convolution: its own gradients are that convolution and that
  // convolution's weight gradient
  ConvTranspose: (context) => {
    const { builder } = context,
      x = inputOf(context, 0),
      w = inputOf(context, 1),
      dy = outputGradient(context);
    const kernel = dimsOf(context, w).slice(2),
      spatial = dimsOf(context, x).slice(2);
    const { attributes } = transposedWindow(context.attributes, spatial, kernel);
    const forward = windowOf(attributes, dimsOf(context, dy).slice(2), kernel);
    if (forward.output.some((size, i) => size !== spatial[i]))
      unsupported(context, 'its output_padding is not less than its strides');
    return [
      context.needs(0) ? builder.op('Conv', [dy, w], attributes) : undefined,
      context.needs(1) ? builder.op('ConvGradWeight', [dy, x], attributes) : undefined,
      context.needs(2) ? math(builder).sum(dy, biasAxes(dy.shape.length), false) : undefined,
    ];
  },
};
