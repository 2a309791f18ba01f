import { numberOf, textOf } from '../../graph/attributes.js';
import { PupilError } from '../../errors.js';
import type { Value } from '../../graph/graph.js';
import { rmsNormalization } from './composites.js';
import type { Conversion, Converter } from './conversion.js';
import type { Emitter } from './emitter.js';
import { layerConverters, without } from './layers.js';

/** What onnxruntime makes of several nodes when it saves an optimised file, written out again. */

/** An activation that stands in an attribute, with its numbers: those that it has in ONNX. */
const activations: Readonly<Record<string, readonly string[]>> = {
  Relu: [],
  Sigmoid: [],
  Tanh: [],
  Softplus: [],
  HardSwish: [],
  LeakyRelu: ['alpha'],
  Elu: ['alpha'],
  HardSigmoid: ['alpha', 'beta'],
};

function activated({ node, attributes, emitter }: Conversion, x: Value, numbers: readonly number[]): Value {
  const name = textOf(attributes, 'activation', '');
  if (name === '') return x;
  if (name === 'Clip') return emitter.op('Clip', [x, ...numbers.map((bound) => emitter.builder.scalar(bound))]);
  const names = activations[name];
  if (!names) throw new PupilError('unsupported', `${node.name}: ${node.op} with ${name} is not supported; ${instead}`);
  return emitter.op(name, [x], Object.fromEntries(names.slice(0, numbers.length).map((key, i) => [key, numbers[i]!])));
}

const instead = 'export the model without the optimisations of onnxruntime';

/** An activation behind a convolution, to which `Z` may be added before. */
const fusedConv: Converter = (conversion) => {
  const { node, inputs, attributes, emitter } = conversion;
  const [convolved] = layerConverters['Conv']!({
    ...conversion,
    node: { ...node, op: 'Conv' },
    inputs: inputs.slice(0, 3),
    attributes: without(attributes, 'activation', 'activation_params'),
  });
  const sum = inputs[3] ? emitter.op('Add', [convolved, inputs[3]]) : convolved!;
  return [activated(conversion, sum, (attributes.activation_params as readonly number[] | undefined) ?? [])];
};

/** A convolution with channels last, filters [O, kernel, I / group] too. */
const nhwcConv: Converter = (conversion) => {
  const { emitter, inputs } = conversion,
    [x, w, bias] = inputs;
  const axes = x!.shape.map((_, axis) => axis),
    first = [0, axes.length - 1, ...axes.slice(1, -1)],
    last = [0, ...axes.slice(2), 1];
  const moved = (value: Value): Value => emitter.op('Transpose', [value], { perm: first });
  const [y] = fusedConv({ ...conversion, inputs: [moved(x!), moved(w!), bias] });
  return [emitter.op('Transpose', [y], { perm: last })];
};

const fusedGemm: Converter = (conversion) => {
  const { node, attributes } = conversion;
  const [y] = layerConverters['Gemm']!({
    ...conversion,
    node: { ...node, op: 'Gemm' },
    attributes: without(attributes, 'activation', 'activation_alpha', 'activation_beta', 'activation_gamma'),
  });
  const numbers = ['activation_alpha', 'activation_beta', 'activation_gamma'].map((key) => attributes[key]);
  return [
    activated(
      conversion,
      y!,
      numbers.filter((number) => typeof number === 'number'),
    ),
  ];
};

/** alpha A B, the last two axes of each exchanged where that is asked for. */
const fusedMatMul: Converter = ({ inputs, attributes, emitter }) => {
  const operand = (index: number, side: 'A' | 'B'): Value => {
    const x = inputs[index]!;
    let axes = x.shape.map((_, axis) => axis);
    const rank = axes.length;
    // The first axis is that of the rows, and the others but the last are those of the batch.
    if (attributes[`transBatch${side}`] === 1 && rank > 2) axes = [...axes.slice(1, -1), 0, rank - 1];
    if (attributes[`trans${side}`] === 1 && rank > 1) axes = [...axes.slice(0, -2), axes[rank - 1]!, axes[rank - 2]!];
    return axes.every((from, axis) => from === axis) ? x : emitter.op('Transpose', [x], { perm: axes });
  };
  const product = emitter.op('MatMul', [operand(0, 'A'), operand(1, 'B')]),
    alpha = numberOf(attributes, 'alpha', 1);
  return [alpha === 1 ? product : emitter.op('Mul', [product, alpha])];
};

const gemmFastGelu: Converter = ({ inputs: [x, weight, bias], emitter }) => {
  const product = emitter.op('MatMul', [x, weight]);
  return [emitter.op('Gelu', [bias ? emitter.op('Add', [product, bias]) : product], { approximate: 'tanh' })];
};

const sum = (emitter: Emitter, ...terms: readonly (Value | undefined)[]): Value =>
  terms.filter((term) => term !== undefined).reduce((a, b) => emitter.op('Add', [a, b]));

/** The normalised sum of input, skip connection and bias; the fourth output is the sum itself. */
const skipNormalization =
  (op: 'LayerNormalization' | 'RMSNormalization', normalize: Converter): Converter =>
  (conversion) => {
    const { node, inputs, attributes, emitter, outputCount } = conversion;
    const [x, skip, scale, ...rest] = inputs;
    const [shift, bias] = op === 'LayerNormalization' ? rest : [undefined, rest[0]];
    if (outputCount > 1 && node.outputs.slice(1, 3).some((name) => name !== ''))
      throw new PupilError(
        'unsupported',
        `${node.name}: ${node.op} whose mean and deviation are read is not supported; ${instead}`,
      );
    const total = sum(emitter, x, skip, bias);
    const [y] = normalize({
      ...conversion,
      node: { ...node, op },
      inputs: [total, scale, shift],
      attributes: { axis: -1, epsilon: numberOf(attributes, 'epsilon', 1e-12) },
      outputCount: 1,
    });
    return [y, undefined, undefined, total];
  };

const layerNormalization: Converter = ({ inputs, attributes, emitter }) =>
  emitter.node('LayerNormalization', inputs, attributes);

const biasAdd: Converter = ({ inputs, emitter }) => [sum(emitter, ...inputs)];

const biasSoftmax: Converter = ({ inputs: [x, bias], attributes, emitter }) => [
  emitter.op('Softmax', [emitter.op('Add', [x, bias])], { axis: numberOf(attributes, 'axis', -1) }),
];

export const fusedConverters: Readonly<Record<string, Converter>> = {
  'com.microsoft.FusedConv': fusedConv,
  'com.microsoft.NhwcConv': nhwcConv,
  'com.microsoft.NhwcFusedConv': nhwcConv,
  'com.microsoft.FusedGemm': fusedGemm,
  'com.microsoft.FusedMatMul': fusedMatMul,
  'com.microsoft.TransposeMatMul': fusedMatMul,
  'com.microsoft.GemmFastGelu': gemmFastGelu,
  'com.microsoft.SkipLayerNormalization': skipNormalization('LayerNormalization', layerNormalization),
  'com.microsoft.SkipSimplifiedLayerNormalization': skipNormalization('RMSNormalization', rmsNormalization),
  'com.microsoft.BiasAdd': biasAdd,
  'com.microsoft.BiasSoftmax': biasSoftmax,
};
