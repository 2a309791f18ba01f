import { invariant, PupilError } from '../errors.js';
import { staticDims, type Node, type Value } from '../graph/graph.js';
import { inline } from '../graph/inline.js';
import type { GraphMath } from '../graph/math.js';
import { foldConstants, specialise } from '../graph/passes.js';
import type { Model } from '../models/model.js';
import { normalizePixels } from '../models/pixels.js';
import { numbersOf } from '../tensor.js';
import { residuals } from './residual.js';

/** What the training form of a model needs from the step that it becomes a part of. */
export interface ForwardContext {
  readonly math: GraphMath;
  /** The current value of a parameter or statistic. */
  value(name: string): Value;
  /** Replaces a statistic by its value after this pass. */
  replace(name: string, value: Value): void;
  /** Declares a mask input. */
  mask(node: string, dims: readonly number[], rate: number): Value;
  /** Ranks that train together, each on its part of the batch. */
  readonly ranks: number;
  /** The mean of a value over all ranks. */
  meanOverRanks(value: Value): Value;
}

export interface ForwardOptions {
  /**
   * Parameters that are not trained; BatchNormalization with a frozen scale keeps its statistics
   * and uses them.
   */
  readonly frozen: ReadonlySet<string>;
  /**
   * `train` (default): batch statistics, running ones updated. `frozen`: the running statistics
   * everywhere.
   */
  readonly batchNormalization?: 'train' | 'frozen';
  /**
   * Whether the batch's statistics are those of the whole batch, of which each rank has a part. Default false: a
   * rank takes those of its own part.
   */
  readonly syncBatchNormalization?: boolean | undefined;
  /**
   * Rate for every Dropout node, or before the classifier when the model has none. Default: the
   * nodes' own.
   */
  readonly dropout?: number;
  /**
   * Rate at the last residual block, growing linearly from the first (Huang et al. 2016). Default
   * 0.
   */
  readonly stochasticDepth?: number;
}

/**
 * Adds a model in training form to a step: pixels uint8 [B, H, W, 3] -> logits [B, classes].
 * BatchNormalization takes the batch's statistics and updates the running ones as PyTorch does;
 * Dropout and stochastic depth multiply by mask inputs.
 */
export function trainingForward(context: ForwardContext, model: Model, pixels: Value, options: ForwardOptions): Value {
  const { builder } = context.math;
  const batch = pixels.shape[0];
  invariant(typeof batch === 'number', 'the batch of a training step must be a number');
  const graph = foldConstants(specialise(model.graph, { N: batch }));
  const inputs: Record<string, Value> = { input: normalizePixels(builder, pixels, model.preprocessing) };
  for (const { name } of graph.inputs) if (name !== 'input') inputs[name] = context.value(name);
  const deep = stochasticDepth(model, options.stochasticDepth ?? 0);
  const hasDropout = graph.nodes.some((node) => node.op === 'Dropout');

  const outputs = inline(builder, graph, inputs, {
    node(node, values) {
      if (node.op === 'BatchNormalization') return batchNormalization(context, model, node, values, options);
      if (node.op === 'Dropout') return [dropout(context, node, values, options.dropout)];
      const residual = deep.get(node.name);
      if (residual) {
        const { branch: index, rate } = residual;
        return [masked(context, node, values, { index, rate, whole: true })];
      }
      if (!hasDropout && options.dropout && node.name === model.head?.node) {
        const index = node.inputs.indexOf(model.head.features);
        return [masked(context, node, values, { index, rate: options.dropout, whole: false })];
      }
      return undefined;
    },
  });
  return outputs['logits']!;
}

/** Rates of residual blocks by node: rate * l / L for the l-th of L. */
function stochasticDepth(model: Model, rate: number): Map<string, { branch: number; rate: number }> {
  if (rate === 0) return new Map();
  checkRate('stochastic depth', rate);
  const blocks = residuals(model.graph, 'input');
  return new Map(blocks.map(({ node, branch }, i) => [node, { branch, rate: (rate * (i + 1)) / blocks.length }]));
}

function checkRate(what: string, rate: number): void {
  if (!(rate >= 0 && rate < 1))
    throw new PupilError('usage', `${what} ${rate}: give a probability from 0 to below 1, such as 0.2`);
}

/** The node again, with input `index` multiplied by a mask: of its elements, or of whole samples. */
function masked(
  { math: { builder }, mask }: ForwardContext,
  node: Node,
  values: readonly (Value | undefined)[],
  { index, rate, whole }: { readonly index: number; readonly rate: number; readonly whole: boolean },
): Value {
  checkRate('dropout', rate);
  const x = values[index]!;
  const dims = staticDims(x.shape);
  invariant(dims, `${node.name}: needs a static shape`);
  const kept = builder.op(
    'Mul',
    [x, mask(node.name, whole ? dims.map((dim, i) => (i === 0 ? dim : 1)) : dims, rate)],
    {},
    { name: `${node.name}/mask` },
  );
  return builder.op(
    node.op,
    values.map((value, i) => (i === index ? kept : (value ?? null))),
    node.attributes,
    { name: node.name, domain: node.domain },
  );
}

function dropout(
  { math: { builder }, mask }: ForwardContext,
  node: Node,
  values: readonly (Value | undefined)[],
  override: number | undefined,
): Value {
  const x = values[0]!;
  const constant = builder.constantOf(values[1]);
  // In opset 17 the ratio is an input that defaults to 0.5.
  const rate = override ?? (constant ? numbersOf(constant)[0]! : 0.5);
  checkRate('dropout', rate);
  const dims = staticDims(x.shape);
  invariant(dims, `${node.name}: needs a static shape`);
  return rate === 0 ? x : builder.op('Mul', [x, mask(node.name, dims, rate)], {}, { name: node.name });
}

type Normalization = (context: ForwardContext, node: Node, values: readonly (Value | undefined)[]) => readonly Value[];

/** By the statistics of this rank's batch: y, mean and population variance. */
const ownNormalization: Normalization = ({ math: { builder } }, node, values) =>
  builder.node(
    'BatchNormalization',
    values.map((value) => value ?? null),
    { ...node.attributes, training_mode: 1, momentum: 0 },
    { name: node.name, outputs: 3 },
  );

/**
 * By the statistics of all ranks' batches, of one size each, from the moments of each about the running mean r, which
 * they share: mean = r + E[m - r], variance = E[v + (m - r)^2] - E[m - r]^2. One exchange serves both; near the
 * mean no digits are lost.
 */
const sharedNormalization: Normalization = (context, node, values) => {
  const { math: m, meanOverRanks } = context;
  const [, ownMean, ownVariance] = m.scope('own', () => ownNormalization(context, node, values));
  const [mean, variance] = m.scope(node.name, () => {
    const running = context.value(node.inputs[3]!);
    const offset = m.sub(ownMean!, running);
    const first = meanOverRanks(offset),
      second = meanOverRanks(m.add(ownVariance!, m.square(offset)));
    return [m.add(running, first), m.max(m.sub(second, m.square(first)), 0)];
  });
  const [x, scale, bias] = values;
  const y = m.builder.op('BatchNormalization', [x!, scale!, bias!, mean, variance], node.attributes, {
    name: node.name,
  });
  return [y, mean, variance];
};

/**
 * Training form: with momentum 0 the node's 2nd and 3rd outputs are the batch's mean and population
 * variance; the running ones become momentum * running + (1 - momentum) * batch, the variance
 * unbiased (times m / (m - 1)), as in PyTorch, whose momentum is 1 - ONNX's.
 */
function batchNormalization(
  context: ForwardContext,
  model: Model,
  node: Node,
  values: readonly (Value | undefined)[],
  options: ForwardOptions,
): readonly Value[] | undefined {
  const [, scale, , mean, variance] = node.inputs;
  const kept =
    options.batchNormalization === 'frozen' ||
    options.frozen.has(scale!) ||
    !model.statistics.has(mean!) ||
    !model.statistics.has(variance!);
  if (kept) return undefined;
  const { math: m } = context;
  const dims = staticDims(values[0]!.shape);
  invariant(dims, `${node.name}: needs a static shape`);
  const isShared = options.syncBatchNormalization === true && context.ranks > 1;
  const count = dims.reduce((product, dim, i) => (i === 1 ? product : product * dim), isShared ? context.ranks : 1);
  if (count === 1) {
    throw new PupilError(
      'usage',
      `${node.name}: a batch of 1 leaves one value a channel to normalise; give a \`batchSize\` of 2 or more, ` +
        `or \`bn: frozen\``,
      { option: 'batchSize' },
    );
  }
  const momentum = (node.attributes['momentum'] as number | undefined) ?? 0.9;
  const [y, batchMean, batchVariance] = (isShared ? sharedNormalization : ownNormalization)(context, node, values);
  m.scope(node.name, () => {
    const update = (name: string, batch: Value, factor: number): void =>
      context.replace(name, m.add(m.mul(context.value(name), momentum), m.mul(batch, (1 - momentum) * factor)));
    update(mean!, batchMean!, 1);
    update(variance!, batchVariance!, count / (count - 1));
  });
  return [y!];
}
