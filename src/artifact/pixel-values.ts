import { invariant } from '../errors.js';
import type { Graph } from '../graph/graph.js';
import { subgraph } from '../graph/passes.js';
import { renameValues } from '../models/import/parameters.js';

/** What `normalizePixels` adds, in order. */
const normalisation = ['Cast', 'Transpose', 'Mul', 'Add'];

/**
 * A deployment graph in the form that transformers.js, transformers and Optimum feed: `pixel_values`
 * float32 [N, 3, H, W], normalised, in place of `pixels`. They make probabilities of `logits` by
 * softmax, so these are divided by the temperature of calibration.
 */
export function takingPixelValues(graph: Graph): Graph {
  let normalised = 'pixels';
  for (const op of normalisation) {
    const readers = graph.nodes.filter(({ inputs }) => inputs.includes(normalised));
    invariant(readers.length === 1 && readers[0]!.op === op, `${graph.name}: no ${op} reads ${normalised}`);
    normalised = readers[0]!.outputs[0]!;
  }
  const softmax = graph.nodes.find(({ outputs }) => outputs.includes('probabilities'));
  invariant(softmax?.op === 'Softmax', `${graph.name}: no Softmax makes the probabilities`);
  const names = new Map([[normalised, 'pixel_values']]);
  const scaled = softmax.inputs[0]!;
  if (scaled !== 'logits') names.set('logits', 'raw_logits').set(scaled, 'logits');
  const outputs = graph.outputs.map((name) => (name === 'logits' ? scaled : name));
  return renameValues(subgraph(graph, [normalised], outputs), names);
}
