import { PupilError } from '../../errors.js';
import { float32, sizeOf, tensor, type Tensor } from '../../tensor.js';
import type { GraphBuilder } from '../builder.js';
import type { Graph, Node, Value } from '../graph.js';
import { prune } from './prune.js';
import { copyNode, rewrite } from './rewrite.js';

/**
 * Least and largest number that a value takes, and its mean by channel (axis 1) where it is known.
 */
export interface Range {
  readonly min: number;
  readonly max: number;
  readonly means?: ArrayLike<number>;
}

export interface QuantizeOptions {
  /**
   * Weights of 7 bits: processors without VNNI add two products of bytes in 16 bits, which saturate
   * when weights have all 8 (default false).
   */
  readonly reduceRange?: boolean;
}

/**
 * Ops that onnxruntime computes on bytes when everything around them is quantised: the result has a
 * scale of its own.
 */
const computing: ReadonlySet<string> = new Set(['Add', 'Mul', 'GlobalAveragePool', 'AveragePool', 'Sigmoid', 'Concat']);
/** Ops that only move or choose elements: the result has the scale of the input. */
const passing: ReadonlySet<string> = new Set(['MaxPool', 'Flatten', 'Reshape', 'Transpose', 'Squeeze', 'Unsqueeze']);

interface Plan {
  /** Nodes whose constant weights become int8. */
  readonly weighted: ReadonlySet<Node>;
  readonly computing: ReadonlySet<Node>;
  readonly passing: ReadonlySet<Node>;
  /**
   * Activations that the saturation of the result before them does: node to the name of its input.
   */
  readonly saturated: ReadonlyMap<Node, string>;
  /**
   * By the output of a node the name of the value whose range decides its scale: that of the
   * activation after it, or its own.
   */
  readonly results: ReadonlyMap<string, string>;
  /** Values whose ranges have to be known. */
  readonly ranges: readonly string[];
}

/**
 * The names of the values whose ranges `quantize` needs: what convolutions and linear layers read
 * and give, after the activation. Throws `bad-model` when there is no convolution to quantise.
 */
export const valuesToCalibrate = (graph: Graph): readonly string[] => planOf(graph).ranges;

/**
 * An inference graph that computes on bytes: weights int8, symmetric, one scale for each output
 * channel; activations uint8 with one scale and zero point; biases int32 of scale s_x s_w. Written
 * as QuantizeLinear and DequantizeLinear around float ops (Jacob et al. 2018, "QDQ"), which
 * onnxruntime fuses into QLinearConv, QGemm, QLinearAdd and their like. A Relu or Clip from zero
 * behind a quantised op falls away: with zero point 0 the saturation of the bytes is the same
 * function. The head and what lies between it and the last convolution stay float32.
 *
 * Weights must be constants and normalisations folded; `ranges` has an entry for each of
 * `valuesToCalibrate`.
 */
export function quantize(graph: Graph, ranges: ReadonlyMap<string, Range>, options: QuantizeOptions = {}): Graph {
  const plan = planOf(graph);
  const quantized = new Map<string, Quantized>();
  const levels = options.reduceRange ? 63 : 127;

  /** The bytes of a value, made where it is first read as such. */
  const bytesOf = (name: string, value: Value, builder: GraphBuilder, like?: Quantized): Quantized => {
    const known = quantized.get(name);
    if (known) return known;
    const { scale, zeroPoint } = like ?? encoding(name, ranges);
    const bytes = builder.op(
      'QuantizeLinear',
      [value, builder.constant(float32([], [scale])), builder.constant(tensor('uint8', [], Uint8Array.of(zeroPoint)))],
      {},
      { name: `${name}/quantize` },
    );
    const entry = { bytes, scale, zeroPoint };
    quantized.set(name, entry);
    return entry;
  };
  const floatsOf = ({ bytes, scale, zeroPoint }: Quantized, name: string, builder: GraphBuilder): Value =>
    builder.op(
      'DequantizeLinear',
      [bytes, builder.constant(float32([], [scale])), builder.constant(tensor('uint8', [], Uint8Array.of(zeroPoint)))],
      {},
      { name: `${name}/dequantize` },
    );

  const node = (
    old: Node,
    inputs: readonly (Value | undefined)[],
    builder: GraphBuilder,
  ): readonly Value[] | undefined => {
    const before = plan.saturated.get(old);
    if (before !== undefined) {
      quantized.set(old.outputs[0]!, quantized.get(before)!);
      return [inputs[0]!];
    }
    const isWeighted = plan.weighted.has(old),
      isPassing = plan.passing.has(old);
    if (!isWeighted && !isPassing && !plan.computing.has(old)) return undefined;
    const operands = old.inputs.map((name, i) => {
      const value = inputs[i];
      if (!value || graph.constants.has(name)) return value;
      return floatsOf(bytesOf(name, value, builder), `${old.name}/${i}`, builder);
    });
    if (isWeighted) {
      const { scale } = quantized.get(old.inputs[0]!)!;
      const { weight, bias } = quantizeWeights(old, graph, scale, levels, ranges.get(old.inputs[0]!)?.means);
      operands[1] = stored(builder, weight, `${old.name}/weight`);
      if (bias) operands[2] = stored(builder, bias, `${old.name}/bias`);
    }
    const output = old.outputs[0]!,
      outputs = copyNode(old, operands, builder);
    if (isPassing) bytesOf(output, outputs[0]!, builder, quantized.get(old.inputs[0]!));
    else quantized.set(output, bytesOf(plan.results.get(output)!, outputs[0]!, builder));
    return [floatsOf(quantized.get(output)!, output, builder)];
  };
  return prune(rewrite(graph, { node }));
}

interface Quantized {
  readonly bytes: Value;
  readonly scale: number;
  readonly zeroPoint: number;
}

/**
 * x = scale (q - zeroPoint) with q in 0..255, so that zero, which convolutions pad with, is a byte
 * exactly.
 */
function encoding(
  name: string,
  ranges: ReadonlyMap<string, Range>,
): { readonly scale: number; readonly zeroPoint: number } {
  const range = ranges.get(name);
  if (!range || !Number.isFinite(range.min) || !Number.isFinite(range.max)) {
    throw new PupilError(
      'bad-model',
      `${name}: its range is ${range ? `${range.min} to ${range.max}` : 'not known'}, expected two finite numbers; ` +
        'calibrate on images that the model can read',
    );
  }
  const min = Math.min(range.min, 0),
    max = Math.max(range.max, 0);
  const scale = Math.fround((max - min) / 255) || 1;
  return { scale, zeroPoint: Math.min(255, Math.max(0, Math.round(-min / scale))) };
}

/** Integers with a scale for each index of `axis`: a value is scale * integer. */
interface Stored {
  readonly integers: Tensor;
  readonly scales: Float32Array;
  readonly axis: number;
}

/**
 * The filters in -levels..levels by output channel, and the bias in units of (input scale)(weight
 * scale), in which products are summed.
 */
function quantizeWeights(
  node: Node,
  graph: Graph,
  inputScale: number,
  levels: number,
  means: ArrayLike<number> | undefined,
): { readonly weight: Stored; readonly bias: Stored | undefined } {
  const weights = graph.constants.get(node.inputs[1]!)!,
    biases = graph.constants.get(node.inputs[2] ?? '');
  const axis = node.op === 'Gemm' && node.attributes['transB'] !== 1 ? 1 : 0;
  const channels = weights.dims[axis]!,
    inner = sizeOf(weights.dims.slice(axis + 1)),
    w = weights.data as Float32Array;
  const channelOf = (i: number): number => Math.floor(i / inner) % channels;
  const largest = new Float64Array(channels);
  w.forEach((x, i) => {
    largest[channelOf(i)] = Math.max(largest[channelOf(i)]!, Math.abs(x));
  });
  const b =
    (biases ?? means) &&
    Float64Array.from({ length: channels }, (_, c) => Number(biases?.data[biases.data.length === 1 ? 0 : c] ?? 0));
  // A filter of nearly zeros gets a scale that its bias fits into 31 bits with.
  const scales = Float32Array.from(
    largest,
    (x, c) => Math.max(x / levels, Math.abs(b?.[c] ?? 0) / (inputScale * 2 ** 30)) || 1,
  );
  const integers = Int8Array.from(w, (x, i) =>
    Math.max(-levels, Math.min(levels, Math.round(x / scales[channelOf(i)]!))),
  );
  if (b && means && node.op === 'Conv')
    correctBias(b, node, weights, (i) => scales[channelOf(i)]! * integers[i]!, means);
  const biasScales = scales.map((scale) => scale * inputScale);
  return {
    weight: { integers: tensor('int8', weights.dims, integers), scales, axis },
    bias: b && {
      integers: tensor(
        'int32',
        [channels],
        Int32Array.from(b, (x, c) => Math.round(x / biasScales[c]!)),
      ),
      scales: biasScales,
      axis: 0,
    },
  };
}

/**
 * Rounded weights w' shift what a filter gives by sum (w' - w) E[x] on average, which its bias
 * takes back (Nagel et al. 2019, equation 17).
 */
function correctBias(
  bias: Float64Array,
  node: Node,
  weights: Tensor,
  rounded: (index: number) => number,
  means: ArrayLike<number>,
): void {
  const [filters, inputs] = weights.dims as [number, number],
    size = weights.data.length / filters,
    area = size / inputs;
  const groups = Number(node.attributes['group'] ?? 1);
  for (let i = 0; i < weights.data.length; i++) {
    const filter = Math.floor(i / size),
      channel = Math.floor(filter / (filters / groups)) * inputs + Math.floor((i % size) / area);
    bias[filter]! -= (rounded(i) - Number(weights.data[i])) * means[channel]!;
  }
}

function stored(builder: GraphBuilder, { integers, scales, axis }: Stored, name: string): Value {
  const zeros = tensor(
    integers.dtype,
    [scales.length],
    integers.dtype === 'int8' ? new Int8Array(scales.length) : new Int32Array(scales.length),
  );
  return builder.op(
    'DequantizeLinear',
    [
      builder.constant(integers, `${name}.${integers.dtype}`),
      builder.constant(float32([scales.length], scales), `${name}.scale`),
      builder.constant(zeros, `${name}.zero`),
    ],
    { axis },
    { name: `${name}/dequantize` },
  );
}

function planOf(graph: Graph): Plan {
  const readers = new Map<string, (Node | undefined)[]>();
  const note = (name: string, reader: Node | undefined): void => {
    readers.set(name, [...(readers.get(name) ?? []), reader]);
  };
  for (const node of graph.nodes) for (const name of node.inputs) note(name, node);
  for (const name of graph.outputs) note(name, undefined);

  const weighted = new Set(graph.nodes.filter((node) => hasWeights(node, graph) && !isHead(node, graph)));
  if (![...weighted].some(({ op }) => op === 'Conv')) {
    throw new PupilError(
      'bad-model',
      `${graph.name}: there is no convolution with constant weights to quantise (${graph.nodes.length} nodes); ` +
        'int8 is for convolutional networks',
    );
  }
  // What is read as bytes: everything that a weighted node reads, and what follows from it.
  const isBytes = new Set([...weighted].map(({ inputs }) => inputs[0]!));
  const ranges = new Set(isBytes),
    results = new Map<string, string>();
  const computed = new Set<Node>(),
    passed = new Set<Node>(),
    saturated = new Map<Node, string>();
  for (const node of graph.nodes) {
    const output = node.outputs[0]!;
    const isWeighted = weighted.has(node);
    if (saturated.has(node)) continue;
    if (
      !isWeighted &&
      !(
        node.inputs.length > 0 &&
        node.inputs.every(
          (name, i) =>
            isBytes.has(name) || (i > 0 && passing.has(node.op) && (name === '' || graph.constants.has(name))),
        )
      )
    )
      continue;
    if (passing.has(node.op)) {
      passed.add(node);
      isBytes.add(output);
      ranges.delete(output);
      continue;
    }
    if (!isWeighted && !computing.has(node.op)) continue;
    if (!isWeighted) computed.add(node);
    const [only, ...more] = readers.get(output) ?? [];
    const activation = only && more.length === 0 && isRectifier(only, graph) ? only : undefined;
    const result = activation?.outputs[0] ?? output;
    if (activation) saturated.set(activation, output);
    results.set(output, result);
    isBytes.add(output).add(result);
    ranges.add(result);
  }
  // What no op on bytes reads, up to the last convolution (pooled features, say), is more exact in
  // float32 and costs little.
  for (const node of graph.nodes.toReversed()) {
    if (!computed.has(node) && !passed.has(node)) continue;
    const result = results.get(node.outputs[0]!) ?? node.outputs[0]!;
    if (
      readers
        .get(result)
        ?.some((reader) => reader && (weighted.has(reader) || computed.has(reader) || passed.has(reader)))
    )
      continue;
    computed.delete(node);
    passed.delete(node);
    results.delete(node.outputs[0]!);
    ranges.delete(result);
    for (const [activation, before] of saturated) if (before === node.outputs[0]) saturated.delete(activation);
  }
  return { weighted, computing: computed, passing: passed, saturated, results, ranges: [...ranges] };
}

/**
 * The linear layer or convolution that gives the logits: small, and an error of its own reaches the
 * answer as it is.
 */
function isHead(node: Node, graph: Graph): boolean {
  const outputs = new Set(graph.outputs);
  const reaches = (name: string): boolean =>
    outputs.has(name) ||
    graph.nodes.some(
      (reader) =>
        reader.inputs.includes(name) &&
        (passing.has(reader.op) || reader.op === 'Identity') &&
        reaches(reader.outputs[0]!),
    );
  return reaches(node.outputs[0]!);
}

const hasWeights = (node: Node, graph: Graph): boolean =>
  (node.op === 'Conv' ||
    (node.op === 'Gemm' &&
      [undefined, 0].includes(node.attributes['transA'] as number) &&
      [node.attributes['alpha'], node.attributes['beta']].every((x) => x === undefined || x === 1))) &&
  graph.constants.get(node.inputs[1]!)?.dtype === 'float32' &&
  (!node.inputs[2] || graph.constants.get(node.inputs[2])?.dtype === 'float32');

/** Relu, or Clip from zero to a constant. */
function isRectifier({ op, inputs }: Node, graph: Graph): boolean {
  if (op === 'Relu') return true;
  const bound = (i: number): Tensor | undefined => graph.constants.get(inputs[i] ?? '');
  return (
    op === 'Clip' &&
    bound(1)?.data.length === 1 &&
    Number(bound(1)!.data[0]) === 0 &&
    (!inputs[2] || bound(2) !== undefined)
  );
}
