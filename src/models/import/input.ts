import {
  makePreprocessing,
  parseNormalization,
  checkPreprocessing,
  normalizations,
  type Normalization,
  type Preprocessing,
} from '../../data/preprocessing.js';
import { PupilError } from '../../errors.js';
import type { GraphBuilder } from '../../graph/builder.js';
import type { Dim, Value } from '../../graph/graph.js';
import type { OnnxFile, OnnxNode, OnnxValue } from '../../onnx/index.js';

/** What the file says about its images. */
export interface ImageInput {
  readonly name: string;
  readonly layout: 'NCHW' | 'NHWC';
  /** The batch size, when it is fixed. */
  readonly batch: number | undefined;
  readonly height: number | undefined;
  readonly width: number | undefined;
  /** Bytes 0 to 255: the model normalises them itself. */
  readonly bytes: boolean;
}

const shown = (value: OnnxValue): string =>
  `${value.dtype ?? 'an unknown type'} [${value.shape?.map((dim) => (dim === '' ? '?' : dim)).join(', ') ?? '?'}]`;

/** Finds the one input, which must be a batch of RGB images. Throws `bad-model` when it is not. */
export function describeInput(file: OnnxFile, name: string): ImageInput {
  const fed = file.graph.inputs.filter((input) => !file.graph.initializers.has(input.name));
  const [input] = fed;
  if (!input || fed.length > 1) {
    throw new PupilError(
      'bad-model',
      `${name}: has ${fed.length} inputs${fed.length > 0 ? ` (${fed.map((i) => i.name).join(', ')})` : ''}; ` +
        'an image classifier has one, float [N, 3, height, width]',
    );
  }
  const wrong = (why: string): PupilError =>
    new PupilError(
      'bad-model',
      `${name}: its input ${input.name} is ${shown(input)}, ${why}; an image classifier takes float [N, 3, ` +
        'height, width]',
    );
  if (input.dtype === undefined || !/^(b?float\d+|uint8)$/.test(input.dtype)) throw wrong('not an image');
  const bytes = input.dtype === 'uint8';
  const shape = input.shape;
  if (!shape) return { name: input.name, layout: 'NCHW', batch: undefined, height: undefined, width: undefined, bytes };
  if (shape.length !== 4) throw wrong('not an image');
  const number = (dim: Dim | undefined): number | undefined => (typeof dim === 'number' && dim > 0 ? dim : undefined);
  if (shape[1] !== 3 && shape[3] === 3) {
    return {
      name: input.name,
      layout: 'NHWC',
      batch: number(shape[0]),
      height: number(shape[1]),
      width: number(shape[2]),
      bytes,
    };
  }
  if (typeof shape[1] === 'number' && shape[1] !== 3) throw wrong(`${shape[1]} channels instead of 3`);
  return {
    name: input.name,
    layout: 'NCHW',
    batch: number(shape[0]),
    height: number(shape[2]),
    width: number(shape[3]),
    bytes,
  };
}

export interface PreprocessingOptions {
  /** `imagenet`, `symmetric`, `unit`, `MEAN/STD`, or the numbers. */
  readonly normalize?: string | Normalization;
  /** Pixels: a square, or [height, width]. */
  readonly size?: number | readonly [height: number, width: number];
  /** What the repository of the file says, where neither the file nor these options do. */
  readonly described?: Preprocessing | undefined;
}

/**
 * From the metadata of a file that Pupil made, else from the options, else as described, else
 * ImageNet's (and the input's size, 224 when that is open). Throws `usage` for options that a file
 * of Pupil's overrules.
 */
export function preprocessingOf(
  file: OnnxFile,
  input: ImageInput,
  name: string,
  options: PreprocessingOptions,
): Preprocessing {
  const own = file.metadata.get('preprocessing');
  if (own === undefined) return foreignPreprocessing(input, options);
  // With any other preprocessing its answers would be wrong.
  for (const option of ['normalize', 'size'] as const) {
    if (options[option] === undefined) continue;
    const message = `${name} was made by Pupil and says itself how images are prepared; leave \`${option}\` out`;
    throw new PupilError('usage', message, { option });
  }
  return checkPreprocessing(parseJson(own, name), name);
}

function foreignPreprocessing(input: ImageInput, options: PreprocessingOptions): Preprocessing {
  const { normalize, described } = options;
  const stated = (typeof normalize === 'string' ? parseNormalization(normalize) : normalize) ?? described;
  const { mean, std } = stated ?? (input.bytes ? normalizations.unit : normalizations.imagenet);
  const open = [input.height ?? input.width ?? 224, input.width ?? input.height ?? 224] as const;
  return makePreprocessing(options.size ?? described?.size[0] ?? open, {
    interpolation: described?.interpolation,
    resizeShort: options.size === undefined ? described?.resizeShort : undefined,
    mean,
    std,
  });
}

/** The line for people where nobody says how images are prepared; undefined where somebody does. */
export function assumption(
  { bytes }: ImageInput,
  name: string,
  { normalize, described }: PreprocessingOptions,
): string | undefined {
  if (bytes || normalize !== undefined || described !== undefined) return undefined;
  return `${name}: does not say how images are prepared, so ImageNet's mean and std are used; give others with \`normalize\``;
}

function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new PupilError('bad-model', `${name}: its metadata entry 'preprocessing' is not JSON; export it again`, {
      cause,
    });
  }
}

/**
 * The file without the normalisation that Pupil's export puts before the network (Cast, Transpose,
 * Mul, Add on `pixels`): its input is then the normalised image. Undefined when it does not begin
 * like that.
 */
export function withoutOwnNormalization(file: OnnxFile): OnnxFile | undefined {
  const pixels = file.graph.inputs.find((input) => input.name === 'pixels');
  if (pixels?.dtype !== 'uint8' || pixels.shape?.length !== 4 || !file.metadata.has('preprocessing')) return undefined;
  const chain: OnnxNode[] = [];
  let value = pixels.name;
  for (const op of ['Cast', 'Transpose', 'Mul', 'Add']) {
    const readers = file.graph.nodes.filter((node) => node.inputs.includes(value));
    const [node] = readers;
    const operand = node?.inputs.find((input) => input !== value);
    const size = operand === undefined ? 3 : file.graph.initializers.get(operand)?.data.length;
    if (readers.length !== 1 || node?.op !== op || size !== 3) return undefined;
    chain.push(node);
    value = node.outputs[0]!;
  }
  const [n, h, w] = pixels.shape;
  return {
    ...file,
    graph: {
      ...file.graph,
      inputs: [{ name: value, dtype: 'float32', shape: [n!, 3, h!, w!] }],
      nodes: file.graph.nodes.filter((node) => !chain.includes(node)),
    },
  };
}

/** The value that the file's nodes read as their input, from the normalised NCHW `input`. */
export function feedInput(builder: GraphBuilder, input: Value, described: ImageInput): Value {
  const scaled = described.bytes ? builder.op('Mul', [input, 255], {}, { name: 'bytes' }) : input;
  return described.layout === 'NCHW'
    ? scaled
    : builder.op('Transpose', [scaled], { perm: [0, 2, 3, 1] }, { name: 'channels_last' });
}
