import { PupilError } from '../../errors.js';
import type { OnnxNode } from '../../onnx/index.js';

/** Ops by which integer arithmetic runs: what their file is, in words. */
const quantised: readonly (readonly [RegExp, string])[] = [
  [/^(MatMulNBits|MatMulBnb4|GatherBlockQuantized|MatMulFpQ4)$/, 'weights of 4 bits'],
  [/^(DynamicQuantize|MatMulInteger|ConvInteger)/, 'weights of 8 bits, made by dynamic quantisation'],
  [/^(QLinear|QAttention|QGemm|QMoE|QOrdered|QEmbed)/, '8-bit integers throughout'],
];

/** The file that one is a smaller copy of, by how transformers.js and others name them. */
const sizes = /[._-](quantized|int8|uint8|q8|q4f16|q4|bnb4|dynamic|static|int4|uint4)(?=\.onnx$)/i;

/** What the unquantised file beside a quantised one may be called, by the name of the latter. */
export function wholeNames(name: string): string[] {
  if (!sizes.test(name)) return [];
  const whole = name.replace(sizes, '');
  return [whole, whole.replace(/\.onnx$/, '_fp32.onnx'), whole.replace(/\.onnx$/, '_fp16.onnx')];
}

const recurrent = new Set(['GRU', 'RNN']);

/** Why a file with a node of an op that Pupil has not cannot be used, and what to do. `other`: the unquantised file. */
export function refusalOf(node: OnnxNode, file: string, other?: string): PupilError {
  const what = quantised.find(([ops]) => ops.test(node.op))?.[1];
  if (what !== undefined) {
    return unsupported(
      file,
      `has ${what} (the node ${node.name} is a ${node.op}), which cannot be trained; ` +
        (other === undefined
          ? 'take the file that is not quantised (model.onnx or model_fp16.onnx where transformers.js has it), ' +
            'or one in QDQ format'
          : `take ${other}, which stands beside it`),
    );
  }
  if (recurrent.has(node.op))
    return unsupported(
      file,
      `the node ${node.name} is a recurrent layer (${node.op}), which runs step after step and is not made for one ` +
        'training graph; use a network without it, such as a vision transformer or a ResNet',
    );
  if (node.domain === 'com.microsoft.nchwc')
    return unsupported(
      file,
      'was optimised by onnxruntime for one kind of processor, which changes the order of its weights; take the file ' +
        'that it was made from, or optimise that up to the level "extended"',
    );
  const op = node.domain === '' ? node.op : `${node.domain}.${node.op}`;
  const hint = node.domain.startsWith('com.microsoft')
    ? 'export the model without the optimisations of onnxruntime'
    : 'export the model without it';
  return unsupported(file, `the node ${node.name} uses the op ${op}, which is not supported; ${hint}`);
}

const unsupported = (file: string, message: string): PupilError => new PupilError('unsupported', `${file}: ${message}`);
