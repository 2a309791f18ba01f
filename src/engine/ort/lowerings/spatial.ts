import { listOf, numberOf, requiredList } from '../../../graph/attributes.js';
import type { Attributes } from '../../../graph/graph.js';
import { windowOf, type Window } from '../../../graph/window.js';
import { sizeOf } from '../../../tensor.js';
import type { Lowering } from '../lowering.js';
import type { Emitter } from '../emitter.js';
import type { Sized } from '../sized.js';

/** Windows over one spatial axis or three. */

/** Attributes of a window over [N, C, W] for [N, C, 1, W]. */
function withHeight(attributes: Attributes): Attributes {
  const changed: Record<string, Attributes[string]> = { ...attributes };
  const replace = (name: string, change: (list: readonly number[]) => readonly number[]): void => {
    const list = listOf(attributes, name);
    if (list) changed[name] = change(list);
  };
  for (const name of ['kernel_shape', 'strides', 'dilations']) replace(name, ([size]) => [1, size!]);
  replace('pads', ([before, after]) => [0, before!, 0, after!]);
  replace('input_shape', ([n, c, w]) => [n!, c!, 1, w!]);
  return changed;
}

/** The rule for a node over [N, C, W], whose inputs and result get a height of one for it. */
const overOneAxis =
  (rule: Lowering): Lowering =>
  (context) => {
    const { e, node, outputs } = context;
    if (context.declared(0).shape.length !== 3) return undefined;
    const taken = (index: number): Sized => {
      const value = context.input(index),
        [n, c, w] = value.shape;
      return e.reshape(value, [n!, c!, 1, w!]);
    };
    const result = rule({ ...context, node: { ...node, attributes: withHeight(node.attributes) }, input: taken });
    return result && [e.reshape(result[0] as Sized, outputs[0]!.shape as number[])];
  };

/** A convolution of x [N, C, ...] with filters [O, C/group, ...] over any number of axes. */
interface Volume {
  readonly x: readonly number[];
  readonly filters: readonly number[];
  readonly group: number;
  readonly window: ReturnType<typeof windowOf<number>>;
}

function volumeOf(attributes: Attributes, x: readonly number[], filters: readonly number[]): Volume {
  const window = windowOf(attributes, x.slice(2), filters.slice(2));
  return { x, filters, group: numberOf(attributes, 'group', 1), window };
}

/** dx by ConvTranspose, which onnxruntime has for three axes, too. */
function inputGradient(e: Emitter, dy: Sized, w: Sized, { x, group, window }: Volume): Sized {
  const { kernel, strides, dilations, begin, end, output } = window;
  const rest = kernel.map((size, i) => {
    const reached = strides[i]! * (output[i]! - 1) + dilations[i]! * (size - 1) + 1 - begin[i]! - end[i]!;
    return x[i + 2]! - reached;
  });
  const attributes = {
    kernel_shape: kernel,
    strides,
    dilations,
    pads: [...begin, ...end],
    group,
    output_padding: rest,
  };
  return e.emit('ConvTranspose', [dy, w], attributes, x);
}

/** dw by a convolution with batch and channels exchanged, strides and dilations exchanged, for each group. */
function filterGradient(e: Emitter, x: Sized, dy: Sized, { filters, group, window }: Volume): Sized {
  const { kernel, strides, dilations, begin, end, output } = window,
    space = kernel.map((_, i) => i + 2),
    exchange = [1, 0, ...space];
  const [outputs, inputs] = [filters[0]! / group, filters[1]!];
  const part = (value: Sized, index: number, size: number): Sized =>
    group === 1 ? value : e.slice(value, [1], [index * size], [(index + 1) * size]);
  const parts = Array.from({ length: group }, (_, index) => {
    const image = e.transpose(part(x, index, inputs), exchange),
      taps = e.transpose(part(dy, index, outputs), exchange);
    const size = kernel.map((_, i) => x.shape[i + 2]! + begin[i]! + end[i]! - strides[i]! * (output[i]! - 1));
    const full = e.emit(
      'Conv',
      [image, taps],
      { kernel_shape: output, strides: dilations, dilations: strides, pads: [...begin, ...end] },
      [inputs, outputs, ...size.map((length, i) => Math.ceil(length / dilations[i]!))],
    );
    const none = kernel.map(() => 0);
    return e.transpose(e.slice(full, space, none, kernel), exchange);
  });
  return group === 1 ? parts[0]! : e.concat(parts, 0);
}

/** Each dy goes to the first largest element of its window, which MaxPool's second output names. */
function maxPoolGradient(e: Emitter, x: Sized, dy: Sized, attributes: Attributes): Sized {
  const { kernel_shape, strides, dilations, pads, ceil_mode = 0 } = attributes as Record<string, Attributes[string]>;
  const window = { kernel_shape, strides, dilations, pads, ceil_mode } as Attributes;
  const [, places] = e.emitAll('MaxPool', [x], window, dy.shape, { more: [{ shape: dy.shape, dtype: 'int64' }] });
  const [from, to] = [sizeOf(dy.shape), sizeOf(x.shape)];
  const operands = [e.zeros([to]), e.reshape(places!, [from]), e.reshape(dy, [from])];
  return e.reshape(e.emit('ScatterElements', operands, { axis: 0, reduction: 'add' }, [to]), x.shape);
}

/** How many elements the mean of each window is of, along one axis. */
function counted(
  { kernel, strides, dilations, begin, end, output }: Window,
  size: number,
  axis: number,
  isPadded: boolean,
): number[] {
  return Array.from({ length: output[axis]! }, (_, place) => {
    const taps = Array.from(
      { length: kernel[axis]! },
      (_, k) => place * strides[axis]! - begin[axis]! + k * dilations[axis]!,
    );
    return taps.filter((tap) => (isPadded ? tap < size + end[axis]! : tap >= 0 && tap < size)).length;
  });
}

/** dy / count spread over its window, a transposed convolution with ones over every plane. */
function averagePoolGradient(e: Emitter, dy: Sized, shape: readonly number[], attributes: Attributes): Sized {
  const space = shape.slice(2),
    window = windowOf(attributes, space),
    { kernel, strides, dilations, begin, output } = window,
    isPadded = numberOf(attributes, 'count_include_pad', 0) === 1,
    planes = shape[0]! * shape[1]!;
  const counts = space
    .map((size, axis) => counted(window, size, axis, isPadded))
    .reduce((all, along) => all.flatMap((a) => along.map((b) => a * b)));
  const share = e.floats(
    [1, 1, ...output],
    counts.map((n) => 1 / n),
  );
  const full = kernel.map((size, i) => strides[i]! * (output[i]! - 1) + dilations[i]! * (size - 1) + 1);
  const ones = e.floats([1, 1, ...kernel], new Float32Array(sizeOf(kernel)).fill(1));
  const parts = e.reshape(e.mul(dy, share), [planes, 1, ...output]);
  const spread = e.emit('ConvTranspose', [parts, ones], { kernel_shape: kernel, strides, dilations }, [
    planes,
    1,
    ...full,
  ]);
  // What falls into the padding is dropped, what no window reached is zero.
  const ends = space.map((size, i) => Math.min(full[i]!, begin[i]! + size)),
    axes = space.map((_, i) => i + 2);
  const missing = space.map((size, i) => size - (ends[i]! - begin[i]!));
  return e.reshape(e.pad(e.slice(spread, axes, begin, ends), [0, 0, ...space.map(() => 0)], [0, 0, ...missing]), shape);
}

/** Gradients of convolutions and pools over three axes. */
const volumes: Readonly<Record<string, Lowering>> = {
  ConvGradInput: ({ e, node, declared, input }) => {
    if (declared(0).shape.length !== 5) return undefined;
    const [dy, w] = [input(0), input(1)];
    return [inputGradient(e, dy, w, volumeOf(node.attributes, requiredList(node.attributes, 'input_shape'), w.shape))];
  },
  ConvGradWeight: ({ e, node, declared, input }) => {
    if (declared(0).shape.length !== 5) return undefined;
    const [x, dy] = [input(0), input(1)];
    const inputs = x.shape[1]! / numberOf(node.attributes, 'group', 1);
    const filters = [dy.shape[1]!, inputs, ...requiredList(node.attributes, 'kernel_shape')];
    return [filterGradient(e, x, dy, volumeOf(node.attributes, x.shape, filters))];
  },
  MaxPoolGrad: ({ e, node, declared, input }) =>
    declared(0).shape.length === 5 ? [maxPoolGradient(e, input(0), input(2), node.attributes)] : undefined,
  AveragePoolGrad: ({ e, node, declared, input }) =>
    declared(0).shape.length === 5
      ? [averagePoolGradient(e, input(0), requiredList(node.attributes, 'input_shape'), node.attributes)]
      : undefined,
};

/** Rules for windows over one axis, by those for two, or three; undefined for all others. */
export const ofOtherRank = (plain: Readonly<Record<string, Lowering>>): Readonly<Record<string, Lowering>> =>
  Object.fromEntries(
    ['ConvGradInput', 'ConvGradWeight', 'MaxPoolGrad', 'AveragePoolGrad'].map((op) => {
      const flat = overOneAxis(plain[op]!);
      return [op, (context) => flat(context) ?? volumes[op]?.(context)];
    }),
  );
