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

/**
 * Finds the input for a batch of RGB images; where there are several (text beside the image), the
 * one that can be it. Throws `bad-model` when there is none.
 */
export function describeInput(file: OnnxFile, name: string): ImageInput {
  const fed = file.graph.inputs.filter((input) => !file.graph.initializers.has(input.name));
  const images = fed.length === 1 ? fed : fed.filter(looksLikeImages);
  const [input] = images;
  if (!input || images.length > 1) {
    throw new PupilError(
      'bad-model',
      `${name}: has ${fed.length} inputs${fed.length > 0 ? ` (${fed.map((i) => i.name).join(', ')})` : ''}` +
        `${fed.length > 1 ? ', and not just one of them for images' : ''}; ` +
        'an image classifier has one, float [N, 3, height, width]',
    );
  }
  const wrong = (why: string): PupilError =>
    new PupilError(
      'bad-model',
      `${name}: its input ${input.name} is ${shown(input)}, ${why}; an image classifier takes float [N, 3, ` +
        'height, width]',
    );
  if (!isPixels(input)) throw wrong('not an image');
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

const isPixels = ({ dtype }: OnnxValue): boolean => dtype !== undefined && /^(b?float\d+|uint8)$/.test(dtype);
const looksLikeImages = (input: OnnxValue): boolean =>
  isPixels(input) &&
  input.shape?.length === 4 &&
  (input.shape[1] === 3 || input.shape[3] === 3 || typeof input.shape[1] === 'string');

export interface PreprocessingOptions {
  /** `imagenet`, `symmetric`, `unit`, `bytes`, `MEAN/STD`, or the numbers. */
  readonly normalize?: string | Normalization;
  /** Pixels: a square, or [height, width]. */
  readonly size?: number | readonly [height: number, width: number];
  /** The order in which the network takes the channels: `rgb` (default), or `bgr` as caffe's have it. */
  readonly channels?: 'rgb' | 'bgr';
  /** The model is to be trained: one that Pupil made may go on at another size. */
  readonly isForTraining?: boolean | undefined;
}

/**
 * From the metadata of a file that Pupil made, else from the options, else from what is said beside
 * it, else ImageNet's (and the input's size, 224 when that is open). `isAssumed`: nothing says how
 * images are normalised. Throws `usage` for options that a file made by Pupil overrules.
 */
export function preprocessingOf(
  file: OnnxFile,
  input: ImageInput,
  name: string,
  options: PreprocessingOptions,
  beside?: Preprocessing,
): { preprocessing: Preprocessing; isAssumed: boolean } {
  const own = file.metadata.get('preprocessing');
  if (own !== undefined) {
    // With any other preprocessing its answers would be wrong.
    for (const option of ['normalize', 'channels', 'size'] as const) {
      if (options[option] === undefined || (option === 'size' && options.isForTraining)) continue;
      const message = `${name} was made by Pupil and says itself how images are prepared; leave \`${option}\` out`;
      throw new PupilError('usage', message, { option });
    }
    const preprocessing = checkPreprocessing(parseJson(own, name), name);
    if (options.size === undefined) return { preprocessing, isAssumed: false };
    const { interpolation, mean, std } = preprocessing;
    return { preprocessing: makePreprocessing(options.size, { interpolation, mean, std }), isAssumed: false };
  }
  const given = typeof options.normalize === 'string' ? parseNormalization(options.normalize) : options.normalize;
  const normalization = given ?? beside ?? (input.bytes ? normalizations.unit : undefined);
  const { mean, std } = normalization ?? normalizations.imagenet;
  const size = options.size ?? sizeOf(input, beside);
  const isAsBeside = options.size === undefined && beside?.size.join() === String(size);
  return {
    preprocessing: isAsBeside
      ? { ...beside, mean, std }
      : makePreprocessing(size, { interpolation: beside?.interpolation, mean, std }),
    isAssumed: normalization === undefined,
  };
}

/** The size that the file has, else the one said beside it. */
function sizeOf({ height, width }: ImageInput, beside: Preprocessing | undefined): readonly [number, number] {
  if (height && width) return [height, width];
  return beside?.size ?? [height ?? width ?? 224, width ?? height ?? 224];
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
export function feedInput(
  builder: GraphBuilder,
  input: Value,
  described: ImageInput,
  channels: PreprocessingOptions['channels'] = 'rgb',
): Value {
  const ordered =
    channels === 'bgr'
      ? builder.op('Gather', [input, builder.ints([2, 1, 0])], { axis: 1 }, { name: 'blue_first' })
      : input;
  const scaled = described.bytes ? builder.op('Mul', [ordered, 255], {}, { name: 'bytes' }) : ordered;
  return described.layout === 'NCHW'
    ? scaled
    : builder.op('Transpose', [scaled], { perm: [0, 2, 3, 1] }, { name: 'channels_last' });
}
