import { sizeOf } from '../../../tensor.js';
import { argument, elementsOf, type DnnlType, type Layout, type WindowShape } from '../library/dnnl.js';
import type { Emitter } from '../emitter.js';
import type { Place } from '../memory/places.js';
import { sumRows } from './sums.js';

/** A depthwise convolution: a filter [channels, 1, ...kernel] for every channel. */
export interface Depthwise {
  readonly source: readonly number[];
  readonly weights: readonly number[];
  readonly output: readonly number[];
  readonly window: WindowShape;
}

/** What a layout has before its innermost block, without the axes of size 1. */
const innermost = (layout: Layout): number | undefined => layout.order?.at(-1)?.size;

/** The layouts that the library chooses for the forward convolution. */
function forwardLayouts(
  e: Emitter,
  { source, weights, output, window }: Depthwise,
  type: DnnlType,
): { readonly x: Layout; readonly dy: Layout; readonly weights: Layout } | undefined {
  const filters = [source[1]!, 1, 1, ...weights.slice(2)];
  const forward = e.dnnl.convolution(
    'forward',
    'direct',
    {
      source: e.dnnl.any(source, type),
      weights: e.dnnl.any(filters, type),
      output: e.dnnl.any(output, type),
    },
    window,
  );
  if (!forward) return undefined;
  const layouts = {
    x: forward.layout(argument.source),
    dy: forward.layout(argument.output),
    weights: forward.layout(argument.weights),
  };
  forward.release();
  return layouts;
}

/**
 * The weight gradient of a depthwise convolution as a forward one, for kernels that the library has
 * no code for (5x5 in 2.6: 206 ms by its fallback, 2 ms so). In a layout blocked by channels, a
 * batch of N images with C channels is one image with N C channels, and dy is a filter for each of
 * them: dW[k] = sum over o of x[o stride + k dilation - begin] dy[o], a convolution whose stride
 * and dilation have changed places, then summed over the batch. Returns the gradient as [channels,
 * 1, 1, ...kernel]; undefined where it does not apply.
 */
export function weightGradientBySamples(
  e: Emitter,
  { source, weights, output, window }: Depthwise,
  x: string,
  dy: string,
  name: string,
): Place | undefined {
  const [samples, , ...input] = source as [number, number, ...number[]],
    kernel = weights.slice(2),
    out = output.slice(2);
  const { strides, dilations, begin } = window,
    type: DnnlType = e.isHalved ? 'bf16' : 'f32';
  const layouts = forwardLayouts(e, { source, weights, output, window }, type);
  if (!layouts) return undefined;
  // the same order in float32
  const weightsIn32 =
    (type === 'f32' ? undefined : forwardLayouts(e, { source, weights, output, window }, 'f32'))?.weights ??
    layouts.weights;
  const padded = elementsOf(layouts.x) / (samples * sizeOf(input)),
    all = samples * padded,
    block = innermost(layouts.x);
  if (
    block === undefined ||
    innermost(layouts.dy) !== block ||
    padded % block !== 0 ||
    elementsOf(layouts.dy) !== all * sizeOf(out)
  )
    return undefined;
  if (elementsOf(layouts.weights) !== padded * sizeOf(kernel)) return undefined;
  const end = kernel.map(
    (size, i) => (size - 1) * dilations[i]! + strides[i]! * (out[i]! - 1) + 1 - input[i]! - begin[i]!,
  );
  const operation = e.dnnl.convolution(
    'forward',
    'direct',
    {
      source: e.dnnl.any([1, all, ...input], type),
      weights: e.dnnl.any([all, 1, 1, ...out], type),
      output: e.dnnl.any([1, all, ...kernel]),
    },
    { strides: dilations, dilations: strides, begin, end },
  );
  if (!operation) return undefined;
  const made = operation.layout(argument.output),
    seen = { x: operation.layout(argument.source), dy: operation.layout(argument.weights) };
  const isSame =
    seen.x.bytes === layouts.x.bytes &&
    seen.dy.bytes === layouts.dy.bytes &&
    elementsOf(made) === all * sizeOf(kernel) &&
    [seen.x, seen.dy, made].every((layout) => innermost(layout) === block);
  if (!isSame) {
    operation.release();
    return undefined;
  }
  const each = e.scratch(made);
  e.call(operation, {
    name,
    kind: 'ConvGradWeight by samples',
    reads: [
      [argument.source, e.view(e.as(x, layouts.x), seen.x)],
      [argument.weights, e.view(e.as(dy, layouts.dy), seen.dy)],
    ],
    writes: [[argument.output, each]],
  });
  return e.view(sumRows(e, each, samples, name), weightsIn32);
}
