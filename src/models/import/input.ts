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
import { float32 } from '../../tensor.js';

/** What the file says about its images. */
export interface ImageInput {
  readonly name: string;
  readonly layout: 'NCHW' | 'NHWC';
  /** Whether it takes one channel of grey instead of red, green and blue. */
  readonly isGrey: boolean;
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
 * Finds the input for a batch of RGB or grey images; where there are several (text beside the
 * image), the one that can be it. Throws `bad-model` when there is none, `unsupported` for images of
 * other channels.
 */
export function describeInput(file: OnnxFile, name: string): ImageInput {
  const fed = file.graph.inputs.filter((input) => !file.graph.initializers.has(input.name));
  const colour = fed.filter((input) => looksLikeImages(input, 3));
  const images = fed.length === 1 ? fed : colour.length > 0 ? colour : fed.filter((input) => looksLikeImages(input, 1));
  const [input] = images;
  if (!input || images.length > 1) {
    throw new PupilError(
      'bad-model',
      `${name}: has ${fed.length} inputs${fed.length > 0 ? ` (${fed.map((i) => i.name).join(', ')})` : ''}` +
        `${fed.length > 1 ? ', and not just one of them for images' : ''}; ` +
        'an image classifier has one, float [N, 3, height, width] (or 1 instead of 3, for grey)',
    );
  }
  const wrong = (why: string): PupilError =>
    new PupilError(
      'bad-model',
      `${name}: its input ${input.name} is ${shown(input)}, ${why}; an image classifier takes float [N, 3, ` +
        'height, width] (or 1 instead of 3, for grey)',
    );
  if (!isPixels(input)) throw wrong('not an image');
  if (input.shape && input.shape.length !== 4) throw wrong('not an image');
  const [batch, ...sides] = (input.shape ?? []).map((dim) => (typeof dim === 'number' && dim > 0 ? dim : undefined));
  const isLast = isChannels(sides[2]) && !isChannels(sides[0]);
  const [channels = 3, height, width] = isLast ? [sides[2], sides[0], sides[1]] : sides;
  if (!isChannels(channels)) {
    throw new PupilError(
      'unsupported',
      `${name}: its input ${input.name} is ${shown(input)}, with neither 3 channels (RGB) nor 1 (grey), which is ` +
        'what images have; export the model with a first layer for 3 channels',
    );
  }
  return {
    name: input.name,
    layout: isLast ? 'NHWC' : 'NCHW',
    isGrey: channels === 1,
    batch,
    height,
    width,
    bytes: input.dtype === 'uint8',
  };
}

const isChannels = (dim: Dim | undefined): boolean => dim === 3 || dim === 1;
const isPixels = ({ dtype }: OnnxValue): boolean => dtype !== undefined && /^(b?float\d+|uint8)$/.test(dtype);
const looksLikeImages = (input: OnnxValue, channels: 1 | 3): boolean =>
  isPixels(input) &&
  input.shape?.length === 4 &&
  (input.shape[1] === channels || input.shape[3] === channels || typeof input.shape[1] === 'string');

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

/** How much each of red, green and blue counts in grey (ITU-R BT.601, as in Pillow's `L`). */
const luma = [0.299, 0.587, 0.114] as const;

/** The same for each channel, so that grey is normalised by it: of three numbers, what they are of grey. */
function normalizationOfGrey({ mean, std }: Normalization): Normalization {
  const grey = (values: readonly number[]): [number, number, number] => {
    const one = values.every((x) => x === values[0]) ? values[0]! : luma.reduce((sum, w, i) => sum + w * values[i]!, 0);
    return [one, one, one];
  };
  return { mean: grey(mean), std: grey(std) };
}

/** An option says what the file says itself. */
export class OverruledError extends PupilError {}

/**
 * From the metadata of a file that Pupil made, else from the options, else from what is said beside
 * it, else ImageNet's, of grey images x / 255 (and the input's size, 224 when that is open).
 * `isAssumed`: nothing says how images are normalised. Throws `usage` for options that a file made
 * by Pupil overrules.
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
      throw new OverruledError('usage', message, { option });
    }
    const preprocessing = checkPreprocessing(parseJson(own, name), name);
    if (options.size === undefined) return { preprocessing, isAssumed: false };
    const { interpolation, mean, std } = preprocessing;
    return { preprocessing: makePreprocessing(options.size, { interpolation, mean, std }), isAssumed: false };
  }
  const given = typeof options.normalize === 'string' ? parseNormalization(options.normalize) : options.normalize;
  const normalization = given ?? beside ?? (input.bytes ? normalizations.unit : undefined);
  const { mean, std } = input.isGrey
    ? normalizationOfGrey(normalization ?? normalizations.unit)
    : (normalization ?? normalizations.imagenet);
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

/** What the value is called that holds the grey images. */
export const greyName = 'grey';

/** The value that the file's nodes read as their input, from the normalised NCHW `input`. */
export function feedInput(
  builder: GraphBuilder,
  input: Value,
  { isGrey, bytes, layout }: ImageInput,
  channels: PreprocessingOptions['channels'] = 'rgb',
): Value {
  const ordered = isGrey
    ? builder.op(
        'ReduceSum',
        [
          builder.op('Mul', [input, builder.constant(float32([1, 3, 1, 1], luma))], {}, { name: 'luma' }),
          builder.ints([1]),
        ],
        {},
        { name: greyName },
      )
    : channels === 'bgr'
      ? builder.op('Gather', [input, builder.ints([2, 1, 0])], { axis: 1 }, { name: 'blue_first' })
      : input;
  const scaled = bytes ? builder.op('Mul', [ordered, 255], {}, { name: 'bytes' }) : ordered;
  return layout === 'NCHW'
    ? scaled
    : builder.op('Transpose', [scaled], { perm: [0, 2, 3, 1] }, { name: 'channels_last' });
}
