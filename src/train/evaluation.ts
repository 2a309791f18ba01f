import { PupilError } from '../errors.js';
import { GraphBuilder } from '../graph/builder.js';
import type { Graph, Value } from '../graph/graph.js';
import { inline } from '../graph/inline.js';
import { foldConstants, prune, specialise, subgraph } from '../graph/passes.js';
import type { Model } from '../models/model.js';
import { normalizePixels } from '../models/pixels.js';

export interface EvaluationOptions {
  /** Names whose average `NAME@ema` is read in place of `NAME` (a step's `averaged`). */
  readonly averaged?: ReadonlySet<string>;
  /** A fixed batch; default any, `N`. */
  readonly batchSize?: number;
  /** Height and width in pixels; default the model's own. */
  readonly size?: readonly [number, number];
}

/** A graph that only reads the store. */
export interface EvaluationProgram {
  readonly graph: Graph;
  /** For `Engine.compile`. */
  readonly state: Readonly<Record<string, null>>;
}

/**
 * The model as it stands in the store: `pixels` uint8 [N, H, W, 3] -> `logits` and `probabilities`
 * float32 [N, classes].
 */
export function buildEvaluation(model: Model, options: EvaluationOptions = {}): EvaluationProgram {
  return build(model, model.graph, options, (builder, outputs) => {
    const logits = outputs['logits']!;
    const scaled =
      model.temperature === 1
        ? logits
        : builder.op('Mul', [logits, 1 / model.temperature], {}, { name: 'temperature' });
    return { logits, probabilities: builder.op('Softmax', [scaled], { axis: 1 }, { name: 'probabilities' }) };
  });
}

/**
 * The model without its head: `pixels` uint8 [N, H, W, 3] -> `features` float32 [N, features], and
 * `layer 1`... the means of `earlier` values (maps [N, C, H, W] or tokens [N, T, C]) over places,
 * [N, C]. Throws `bad-model` without a head.
 */
export function buildFeatures(
  model: Model,
  options: EvaluationOptions = {},
  earlier: readonly string[] = [],
): EvaluationProgram {
  const { head } = model;
  if (!head)
    throw new PupilError('bad-model', `${model.architecture}: no classifier was found; name its node with \`head\``, {
      option: 'head',
    });
  const graph = subgraph(model.graph, ['input'], [...earlier, head.features]);
  return build(model, graph, options, (builder, outputs) => ({
    features: builder.op('Flatten', [outputs[head.features]!], { axis: 1 }, { name: 'features' }),
    ...Object.fromEntries(earlier.map((name, i) => [`layer ${i + 1}`, meanOverPlaces(builder, outputs[name]!)])),
  }));
}

const meanOverPlaces = (builder: GraphBuilder, value: Value): Value =>
  builder.op('ReduceMean', [value], { axes: value.shape.length === 4 ? [2, 3] : [1], keepdims: 0 });

function build(
  model: Model,
  graph: Graph,
  options: EvaluationOptions,
  finish: (builder: GraphBuilder, outputs: Readonly<Record<string, Value>>) => Readonly<Record<string, Value>>,
): EvaluationProgram {
  const { averaged, batchSize } = options;
  const builder = new GraphBuilder(`${model.architecture} evaluation`);
  const pixels = builder.input('pixels', 'uint8', [batchSize ?? 'N', ...(options.size ?? model.preprocessing.size), 3]);
  const inputs: Record<string, Value> = { input: normalizePixels(builder, pixels, model.preprocessing) };
  const names: string[] = [];
  for (const { name, dtype, shape } of graph.inputs) {
    if (name === 'input') continue;
    const stored = averaged?.has(name) ? `${name}@ema` : name;
    names.push(stored);
    inputs[name] = builder.input(stored, dtype, shape);
  }
  const source = batchSize === undefined ? graph : foldConstants(specialise(graph, { N: batchSize }));
  builder.outputs(finish(builder, inline(builder, source, inputs)));
  const built = prune(foldConstants(builder.build()));
  const read = new Set(built.inputs.map(({ name }) => name));
  return {
    graph: built,
    state: Object.fromEntries(names.filter((name) => read.has(name)).map((name) => [name, null])),
  };
}
