/** ONNX files written by hand, for tests. */
import assert from 'node:assert/strict';
import { evaluateGraph } from '../graph/evaluate.js';
import { importFile } from '../models/import.js';
import type { Model } from '../models/model.js';
import type { OnnxAttribute, OnnxFile, OnnxNode } from '../onnx/index.js';
import { float32, numbersOf, type FloatTensor, type Tensor } from '../tensor.js';

/** The logits (or features) of a model on normalised images, by the reference. */
export const logitsOf = (model: Model, input: Tensor): Tensor =>
  evaluateGraph(model.graph, { input, ...Object.fromEntries(model.parameters) })[model.graph.outputs[0]!]!;

export function assertClose(actual: readonly number[], wanted: readonly number[], tolerance: number): void {
  assert.equal(actual.length, wanted.length);
  const worst = Math.max(...actual.map((x, i) => Math.abs(x - wanted[i]!)));
  assert.ok(worst <= tolerance, `differs by ${worst}`);
}

export interface Sketch {
  readonly inputs?: OnnxFile['graph']['inputs'];
  readonly output?: string;
  readonly opset?: number;
  readonly weights?: Record<string, Tensor>;
  readonly metadata?: Record<string, string>;
}

/** A file from a list of nodes `[op, inputs, outputs, attributes]`. */
export function sketch(
  nodes: readonly [string, string[], string[], Record<string, OnnxAttribute>?][],
  { inputs, output = 'y', opset = 17, weights = {}, metadata = {} }: Sketch = {},
): OnnxFile {
  return {
    irVersion: 8,
    opsets: new Map([['', opset]]),
    producer: 'test',
    metadata: new Map(Object.entries(metadata)),
    functions: new Map(),
    graph: {
      name: 'sketch',
      inputs: inputs ?? [{ name: 'x', dtype: 'float32', shape: ['N', 3, 2, 2] }],
      outputs: [{ name: output, dtype: 'float32', shape: undefined }],
      nodes: nodes.map(([op, ins, outs, attributes = {}]): OnnxNode => {
        const [domain, name] = op.includes('.')
          ? [op.slice(0, op.lastIndexOf('.')), op.slice(op.lastIndexOf('.') + 1)]
          : ['', op];
        return {
          name: `/part/${outs[0]!}/${name}`,
          op: name,
          domain,
          overload: '',
          inputs: ins,
          outputs: outs,
          attributes,
        };
      }),
      initializers: new Map(Object.entries(weights)),
    },
  };
}

/** A tensor of sines, no two alike. */
export const ramp = (...dims: number[]): FloatTensor =>
  float32(
    dims,
    Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i + 1)),
  );
/** The logits of a file once imported. */
export const run = (file: OnnxFile, input: Tensor = ramp(2, 3, 2, 2)): number[] =>
  numbersOf(logitsOf(importFile(file, 'sketch').model, input));
