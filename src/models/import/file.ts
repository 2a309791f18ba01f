import { distinctLabels } from '../../data/labels.js';
import type { Preprocessing } from '../../data/preprocessing.js';
import { PupilError } from '../../errors.js';
import type { Dim, Value } from '../../graph/graph.js';
import { specialise } from '../../graph/passes.js';
import type { OnnxFile } from '../../onnx/index.js';
import type { Description } from '../description.js';
import { findHead, headAt } from '../find-head.js';
import { fuseActivations } from './activations.js';
import { Choices, FreedBatch, NodeError } from './batch.js';
import { Broken, convertGraph } from './convert.js';
import { assertBearable } from './cost.js';
import { Emitter } from './emitter.js';
import { fuseLayerNormalization } from './fuse.js';
import {
  describeInput,
  feedInput,
  greyName,
  preprocessingOf,
  withoutOwnNormalization,
  type ImageInput,
  type PreprocessingOptions,
} from './input.js';
import { normalizationFor } from './normalization.js';
import { chooseOutput, type Chosen, type OutputOptions } from './outputs.js';
import { promoteParameters, renameValues, type Promoted } from './parameters.js';
import { describeUltralytics } from './ultralytics.js';
import { backboneIn, teachersIn } from '../licence.js';
import { isEncoder, type Model } from '../model.js';
import { rejectionIn } from '../rejection.js';

export interface ImportOptions extends PreprocessingOptions, OutputOptions {
  /** What to call the model (default: what the file says, or its file name). */
  readonly name?: string;
  /** What is known of the model besides its file; the file's own metadata comes first. */
  readonly description?: Description;
  /** Of a quantised file: the name of the one beside it that is not, for the refusal. */
  readonly unquantised?: string | undefined;
  /** The classes in the order of the model's outputs, where no file says them. */
  readonly classNames?: readonly string[] | undefined;
  /** Gets one-line notes: what is assumed, a batch size that could not be made dynamic. */
  readonly warn?: (message: string) => void;
}

/** A model and, for every parameter, the name that the file has for it. */
export interface Imported {
  readonly model: Model;
  readonly origins: ReadonlyMap<string, string>;
  /** Stored tensors that are not trained for what they hold, and why. */
  readonly kept: readonly string[];
  /** Whether the file takes grey images, which the model makes of RGB. */
  readonly isGrey: boolean;
}

/**
 * An ONNX file that was read as a trainable model: `input` float32 [N, 3, H, W] to `logits` float32
 * [N, classes] or `features` float32 [N, F], all in opset 17, weights as named parameters. Of
 * probabilities the scores behind them are taken. `file` is what messages call it. Throws `bad-model` or
 * `unsupported`.
 */
export function importFile(read: OnnxFile, file: string, given: ImportOptions = {}): Imported {
  const description = describeUltralytics(read) ?? given.description;
  // A file that Pupil made has the order of its channels inside.
  const channels = given.channels ?? (read.metadata.has('preprocessing') ? undefined : description?.channels);
  const options = { ...given, description, channels };
  const opset = read.opsets.get('') ?? 0;
  if (opset < oldest)
    throw new PupilError(
      'unsupported',
      `${file}: uses opset ${opset}; export it with opset 11 or newer (7 is the oldest that can be read)`,
    );
  const onnx = withoutOwnNormalization(read) ?? read;
  const input = describeInput(onnx, file);
  if (input.isGrey && options.channels === 'bgr')
    throw new PupilError(
      'usage',
      `${file}: takes grey images, which have no order of channels; leave \`channels\` out`,
      {
        option: 'channels',
      },
    );
  const stated = preprocessingOf(onnx, input, file, options, options.description?.preprocessing);
  const source = { onnx, file, input, preprocessing: stated.preprocessing };
  const { graph, parameters, statistics, origins, kept, note } = trainable(source, options);
  // Of a file that Pupil made, everything is known.
  if (note !== undefined && !onnx.metadata.has('preprocessing')) options.warn?.(note);
  const inside = stated.isAssumed ? normalizationFor(graph, input.isGrey ? greyName : undefined) : undefined;
  if (stated.isAssumed && !inside)
    options.warn?.(
      `${file}: does not say how images are prepared, so ` +
        `${input.isGrey ? 'x / 255 is' : "ImageNet's mean and std are"} used; ` +
        'give others with `normalize` (symmetric, unit, bytes or MEAN/STD)',
    );
  const [height, width] = stated.preprocessing.size;
  const isOpen = input.height === undefined || input.width === undefined;
  if (
    isOpen &&
    options.size === undefined &&
    !options.description?.preprocessing &&
    !onnx.metadata.has('preprocessing')
  )
    options.warn?.(
      `${file}: takes images of any size, and nothing beside it says which: ${height}x${width} is used; ` +
        '`size` chooses another',
    );
  const provenance = jsonOf(onnx.metadata.get('provenance')) as Readonly<Record<string, unknown>> | undefined;
  const architecture =
    options.name ?? (typeof provenance?.architecture === 'string' ? provenance.architecture : nameOf(onnx, file));
  const head = headOf({ graph, parameters }, options.head);
  const model: Model = {
    graph: { ...graph, name: architecture },
    parameters,
    statistics,
    head,
    preprocessing: { ...stated.preprocessing, ...inside },
    labels: labelsOf(onnx, file, graph.values.get('logits')?.shape[1], options),
    architecture,
    pretrained: true,
    temperature: typeof provenance?.temperature === 'number' && provenance.temperature > 0 ? provenance.temperature : 1,
    rejection: rejectionIn(onnx, head?.featureCount, head?.classes),
    backbone: onnx.metadata.has('preprocessing')
      ? backboneIn(provenance)
      : { name: file.split(/[/\\]/).at(-1)!, licence: description?.licence ?? null },
    teachers: teachersIn(provenance),
  };
  assertBearable(model.graph, file, options.warn);
  return { model, origins, kept, isGrey: input.isGrey };
}

/** The class names given, in the file or beside it, where there is one for each of the outputs. */
function labelsOf(
  onnx: OnnxFile,
  file: string,
  classes: Dim | undefined,
  { classNames, description }: ImportOptions,
): readonly string[] | undefined {
  if (classNames && classNames.length !== classes)
    throw new PupilError(
      'bad-data',
      `${file}: ${classes === undefined ? 'has no classifier' : `has ${classes} classes`}, ` +
        `\`classNames\` names ${classNames.length}; give one for each, in the order of the model's outputs`,
      { option: 'classNames' },
    );
  const isList = (value: unknown): value is readonly string[] =>
    Array.isArray(value) && value.length === classes && value.every((label) => typeof label === 'string');
  const labels = [classNames, ownLabels(onnx), description?.labels].find(isList);
  return labels && distinctLabels(labels);
}

/** How many classes are named, whether or not the network has as many outputs. */
const namedClasses = (onnx: OnnxFile, { classNames, description }: ImportOptions): number | undefined =>
  [classNames, ownLabels(onnx), description?.labels].find((labels) => Array.isArray(labels))?.length;

const ownLabels = (onnx: OnnxFile): unknown => jsonOf(onnx.metadata.get('labels'));

function headOf({ graph, parameters }: Pick<Model, 'graph' | 'parameters'>, named: string | undefined): Model['head'] {
  if (isEncoder({ graph })) return undefined;
  const head = named === undefined ? findHead(graph, parameters) : headAt(graph, parameters, named);
  // One score, of the second of two classes, has become two.
  return head && { ...head, classes: Number(graph.values.get('logits')!.shape[1]) };
}

/** What the outputs of graphs are called that a model becomes part of. */
const ends = ['logits', 'probabilities', 'features'];

const otherInput = (file: string, name: string): PupilError =>
  new PupilError(
    'bad-model',
    `${file}: what it computes depends on the input ${name} beside the images; an image classifier or encoder ` +
      'has one, float [N, 3, height, width] (or 1 instead of 3, for grey)',
  );

/** Below, Add and Mul broadcast in another way. */
const oldest = 7;

const generic = /^(main_?graph|torch[-_]jit(_export)?|graph|model|tf2onnx|)$/;

function nameOf(file: OnnxFile, path: string): string {
  const base = path
    .split(/[/\\]/)
    .at(-1)!
    .replace(/\.onnx$/i, '');
  return base === 'model' || base === 'the model' ? (generic.test(file.graph.name) ? 'model' : file.graph.name) : base;
}

function jsonOf(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) ?? undefined;
  } catch {
    return undefined; // Another tool's entry of the same name.
  }
}

/** A file that was read, and what its input is. */
interface Source {
  readonly onnx: OnnxFile;
  /** What messages call it. */
  readonly file: string;
  readonly input: ImageInput;
  readonly preprocessing: Preprocessing;
}

/** The graph with a batch of any size when it allows that, else with the file's own. */
function trainable(source: Source, options: ImportOptions): Built {
  const { file, input, preprocessing } = source;
  const { batch } = input;
  try {
    if (batch === undefined) return build(source, options);
    const freed = free(source, batch, options);
    if ('graph' in freed) return freed;
    const fixed = build(source, options, batch);
    options.warn?.(
      `${file}: was exported for batches of ${batch} only (${freed.reason}); it predicts, ` +
        'to train it export it with a dynamic batch',
    );
    return fixed;
  } catch (error) {
    if (error instanceof PupilError) throw error;
    const [height, width] = preprocessing.size;
    const resized =
      options.size !== undefined && (height !== input.height || width !== input.width) && input.height !== undefined;
    throw new PupilError(
      'bad-model',
      `${file}: ${(error as Error).message}; ${
        resized
          ? `the file is for ${input.height}x${input.width} images: leave \`size\` out`
          : 'the file does not fit together: export it again'
      }`,
      { cause: error },
    );
  }
}

interface Built extends Promoted, Pick<Chosen, 'note'> {}

/** Readings of a file that are tried to free its batch. */
const mostReadings = 64;

/** A file with a batch of one size read as one for any size, or the first reason why not. */
function free(source: Source, batch: number, options: ImportOptions): Built | { readonly reason: string } {
  const choices = new Choices();
  let reason: string | undefined;
  for (let reading = 0; reading < mostReadings; reading++) {
    let decided: number | undefined;
    try {
      const built = build(source, options, new FreedBatch(batch, choices));
      // Every size is a number here, so that whatever still has the old batch in it shows.
      const check = specialise(built.graph, { N: 2 * batch + 3 });
      if (check.values.get(check.outputs[0]!)!.shape[0] === 2 * batch + 3) return built;
      reason ??= 'its output has that size';
    } catch (error) {
      // What is wrong with the file for any batch is said by reading it with its own.
      if (error instanceof PupilError) return { reason: error.message };
      reason ??= (error as Error).message;
      if (error instanceof NodeError) ({ decided } = error);
    }
    if (!choices.advance(decided)) break;
  }
  return { reason: reason! };
}

/** `batch`: the file's own size, or how it is freed of that; else the file is for any. */
function build(
  { onnx, file, input, preprocessing }: Source,
  options: ImportOptions,
  batch?: number | FreedBatch,
): Built {
  const freed = batch instanceof FreedBatch ? batch : undefined;
  const size = typeof batch === 'number' ? batch : 'N';
  const emitter = new Emitter(file, freed);
  const [height, width] = preprocessing.size;
  const images = emitter.builder.input('input', 'float32', [size, 3, height, width]);
  const inputs = new Map<string, Value | Broken>(
    onnx.graph.inputs.map(({ name }) => [name, new Broken(otherInput(file, name))]),
  );
  for (const name of onnx.graph.initializers.keys()) inputs.delete(name);
  inputs.set(input.name, feedInput(emitter.builder, images, input, options.channels));
  emitter.adopt();
  const values = convertGraph(onnx, emitter, inputs, { file, unquantised: options.unquantised });
  const { graph, chosen } = chooseOutput(
    { onnx, file, emitter, values, batch: size, wasFixed: freed !== undefined, classes: namedClasses(onnx, options) },
    options,
  );
  const promoted = promoteParameters(fuseActivations(fuseLayerNormalization(graph)), emitter.weights, emitter.literals);
  const output = promoted.graph.outputs[0]!;
  const names = new Map<string, string>();
  // Something inside may be called so already.
  for (const name of ends)
    if (name !== output && promoted.graph.values.has(name)) names.set(name, emitter.free(`${name}_inner`));
  if (output !== chosen.kind) names.set(output, chosen.kind);
  return { ...promoted, graph: renameValues(promoted.graph, names), note: chosen.note };
}
