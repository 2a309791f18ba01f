import { encodeGraph } from '../onnx/index.js';
import { GraphBuilder } from '../graph/builder.js';
import { inline } from '../graph/inline.js';
import { expandActivations, subgraph } from '../graph/passes.js';
import type { Graph, Value } from '../graph/graph.js';
import { math } from '../graph/math.js';
import type { Tensor } from '../tensor.js';
import type { Model, Rejection } from '../models/model.js';
import { normalizePixels } from '../models/pixels.js';
import { outlierMeans } from '../models/rejection.js';
import { weightsInPlace } from '../models/weights-in-place.js';
import { toFloat16 } from './float16.js';
import { takingPixelValues } from './pixel-values.js';

/**
 * What an exported file says of how it was made: versions, data hash, technique, seed, metrics. Any
 * JSON.
 */
export type Provenance = Readonly<Record<string, unknown>>;

/**
 * The deployment graph of a model: `pixels` uint8 [N, H, W, 3] RGB, already resized and cropped ->
 * `logits` and `probabilities` float32 [N, classes]. Normalisation and the calibration temperature
 * are inside. With a rejection also `outlier` float32 [N], how unlike all classes an image is.
 * Parameters stay inputs.
 */
export function deploymentGraph(model: Model): Graph {
  const builder = new GraphBuilder(model.architecture);
  const [height, width] = model.preprocessing.size;
  const pixels = builder.input('pixels', 'uint8', ['N', height, width, 3]);
  const input = normalizePixels(builder, pixels, model.preprocessing);
  const { rejection, head } = model;
  const asked = rejection && head ? [head.features] : [];
  const graph = { ...model.graph, outputs: [...new Set([...model.graph.outputs, ...asked])] };
  const outputs = inline(builder, graph, { input });
  return said(builder, model, outputs['logits']!, head && outputs[head.features]);
}

/**
 * The same for images whose features are known: `features` float32, what the model's head sees, ->
 * the outputs of `deploymentGraph`. The model has a head.
 */
export function headGraph(model: Model): Graph {
  const builder = new GraphBuilder(model.architecture);
  const name = model.head!.features;
  const features = builder.input('features', 'float32', model.graph.values.get(name)!.shape);
  const { logits } = inline(builder, subgraph(model.graph, [name], ['logits']), { [name]: features });
  return said(builder, model, logits!, features);
}

/** What a deployed model says, from its logits and what its head sees. */
function said(
  builder: GraphBuilder,
  { temperature, rejection }: Model,
  logits: Value,
  features: Value | undefined,
): Graph {
  const scaled = temperature === 1 ? logits : builder.op('Mul', [logits, 1 / temperature], {}, { name: 'temperature' });
  const probabilities = builder.op('Softmax', [scaled], { axis: 1 }, { name: 'probabilities' });
  const outlier = rejection && features && outlierOf(builder, features, rejection);
  builder.outputs(outlier ? { logits, probabilities, outlier } : { logits, probabilities });
  return builder.build();
}

/** How unlike the images of every class, float32 [N]: 1 - max cosine(features, mean of a class). */
function outlierOf(builder: GraphBuilder, features: Value, { means }: Rejection): Value {
  const m = math(builder);
  const rows = builder.op('Flatten', [features], { axis: 1 });
  const lengths = m.sqrt(m.add(m.sum(m.square(rows), [1]), 1e-12));
  const cosines = m.div(builder.op('MatMul', [rows, builder.constant(means, outlierMeans)]), lengths);
  return builder.op('Sub', [builder.scalar(1), m.reduceMax(cosines, [1], false)], {}, { name: 'outlier' });
}

export interface ExportOptions {
  readonly fp16?: boolean | undefined;
  readonly int8?: Graph | undefined;
  /** What the file takes (default `pixels`): `pixel_values` is for the hub's programs. */
  readonly input?: 'pixels' | 'pixel_values' | undefined;
}

/**
 * The bytes of `model.onnx`: opset 17, IR 8, the standard domain only, dynamic batch where the
 * model allows it. Runs in any onnxruntime. With `fp16`, weights are stored as half floats (half
 * the size; computed in float32 after a Cast). With `int8`, that graph (of `quantizeModel`) is
 * written, and the provenance says so.
 */
export function exportModel(model: Model, provenance: Provenance, options: ExportOptions = {}): Uint8Array {
  let graph = options.int8 ?? weightsInPlace(deploymentGraph(model), model);
  graph = expandActivations(graph);
  const forHub = options.input === 'pixel_values';
  if (forHub) graph = takingPixelValues(graph);
  if (options.fp16) graph = halveWeights(graph);
  return encodeGraph(graph, {
    metadata: {
      labels: model.labels && JSON.stringify(model.labels),
      preprocessing: JSON.stringify(model.preprocessing),
      outlier: model.rejection && JSON.stringify({ threshold: model.rejection.threshold }),
      provenance: JSON.stringify({
        architecture: model.architecture,
        temperature: model.temperature,
        backbone: model.backbone?.name ?? undefined,
        licence: model.backbone?.licence ?? undefined,
        teachers: model.teachers,
        ...provenance,
        // Its logits are divided by it.
        ...(forHub ? { temperature: 1 } : {}),
        int8: options.int8 ? true : undefined,
      }),
    },
  });
}

/** The largest half float. */
const largestHalf = 65504;

/**
 * Stores float32 constants of more than 64 elements as float16 and casts them back where they are
 * read. Those with numbers beyond half floats' stay as they are.
 */
function halveWeights(graph: Graph): Graph {
  const constants = new Map<string, Tensor>();
  const values = new Map<string, Value>(graph.values);
  const casts: Graph['nodes'][number][] = [];
  for (const [name, constant] of graph.constants) {
    const isKept = constant.dtype !== 'float32' || constant.data.length <= 64 || name === outlierMeans;
    if (isKept || (constant.data as Float32Array).some((x) => Math.abs(x) > largestHalf)) {
      constants.set(name, constant);
      continue;
    }
    const half = `${name}.fp16`;
    constants.set(half, { dtype: 'float16', dims: constant.dims, data: toFloat16(constant.data as Float32Array) });
    values.set(half, { name: half, dtype: 'float16', shape: constant.dims });
    // 1 is ONNX's number for float32.
    casts.push({
      name: `${name}.cast`,
      op: 'Cast',
      domain: '',
      inputs: [half],
      outputs: [name],
      attributes: { to: 1 },
    });
  }
  return { ...graph, constants, values, nodes: [...casts, ...graph.nodes] };
}
