import { assertOptions, shown } from '../arguments.js';
import { exportModel } from '../artifact/export.js';
import { presetNames, type PresetName } from '../augment/presets.js';
import type { Engine } from '../engine/engine.js';
import { errorAbout, PupilError } from '../errors.js';
import { replaceHead, requireHead } from '../models/head.js';
import { importFile } from '../models/import/file.js';
import { isEncoder, type Model } from '../models/model.js';
import { decodeOnnx } from '../onnx/decode.js';
import { createWebEngine } from './engine.js';
import type { LabelledImage } from './images.js';
import { learn, usualSettings, type Learned, type LearnEvent, type WebMode } from './learn.js';
import { webOptions, type WebOptions } from './options.js';
import { modelBytes, pixelsOf, type ModelSource, type Picture } from './pictures.js';
import { runtimeOf } from './runtime.js';
import { keyOf, openStore, type TrainingStore } from './store.js';

/** A picture with the name of its class; without one it is an unlabelled image. */
export interface Example {
  readonly picture: Picture;
  readonly label?: string | undefined;
}

export interface WebTrainOptions extends WebOptions {
  /** A pretrained network, ONNX: its address or its bytes. */
  readonly model: ModelSource;
  /**
   * `probe` trains only the last layer; `consensus` works out labels for the unlabelled images first;
   * `finetune` trains everything. Default: consensus where there are unlabelled images, else probe.
   */
  readonly mode?: WebMode | undefined;
  /** How images are normalised, where the file does not say: imagenet, symmetric, unit, bytes or MEAN/STD. */
  readonly normalize?: string | undefined;
  /** Side of the input in pixels, of a network that takes any. */
  readonly size?: number | undefined;
  /** Passes through the labelled images when fine-tuning. Default 10. */
  readonly epochs?: number | undefined;
  /** Default 32. */
  readonly batchSize?: number | undefined;
  /** Learning rate of the last layer when fine-tuning. Default 1e-3. */
  readonly lr?: number | undefined;
  /** Of the pretrained part; default: a fraction of `lr` that follows the number of images. */
  readonly backboneLr?: number | undefined;
  /** How images are varied when fine-tuning. Default basic. */
  readonly augment?: PresetName | undefined;
  /** Mirror half of the images. Default true. */
  readonly flip?: boolean | undefined;
  /**
   * Learn which images are of none of the classes, where the network stays frozen and 50 labels or more are there.
   * Default true.
   */
  readonly rejection?: boolean | undefined;
  /** Under which the network was published, such as `apache-2.0`: written into the model. Default: unknown. */
  readonly licence?: string | undefined;
  /** Makes the worker to train in, whose script calls `serveTraining`; it is terminated at the end. */
  readonly worker?: (() => InstanceType<typeof globalThis.Worker>) | undefined;
  /**
   * A name under which the training keeps its state in the browser, until it is finished: called again with the same
   * examples and options, also after the page was loaded again, it goes on. Default: nothing is kept.
   */
  readonly state?: string | undefined;
  /** Seconds from one time that the state is kept to the next. Default 10. */
  readonly saveEvery?: number | undefined;
  /** Default 0. */
  readonly seed?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type WebTrainEvent =
  | LearnEvent
  | { readonly type: 'progress'; readonly task: 'decoding'; readonly done: number; readonly total: number }
  | { readonly type: 'note'; readonly message: string };

export interface WebTrained {
  /** The bytes of `model.onnx`, for `loadModel`, `pupil predict` and any onnxruntime. */
  readonly model: Uint8Array;
  /** In the order of the outputs. */
  readonly classes: readonly string[];
  readonly heldOut: Learned['heldOut'];
}

const known = [
  ...webOptions,
  'model',
  'mode',
  'normalize',
  'size',
  'epochs',
  'batchSize',
  'lr',
  'backboneLr',
  'augment',
  'flip',
  'rejection',
  'licence',
  'worker',
  'state',
  'saveEvery',
  'seed',
  'signal',
] as const;

/** The work of `train`. */
export async function* trainExamples(
  examples: readonly Example[],
  options: WebTrainOptions,
  signal: AbortSignal,
): AsyncGenerator<WebTrainEvent, WebTrained, undefined> {
  assertOptions(options, known);
  const { runtime, provider } = runtimeOf(options);
  const { augment = usualSettings.augment, seed = 0 } = options;
  if (!presetNames.includes(augment))
    throw new PupilError('usage', `\`augment\` takes ${presetNames.join(', ')}, got ${shown(augment)}`, {
      option: 'augment',
    });
  const classes = classesOf(examples);
  const hasUnlabelled = examples.some(({ label }) => label === undefined);
  const mode = options.mode ?? (hasUnlabelled ? 'consensus' : 'probe');
  if (!(['probe', 'consensus', 'finetune'] as const).includes(mode))
    throw new PupilError('usage', `\`mode\` takes probe, consensus or finetune, got ${shown(mode)}`, {
      option: 'mode',
    });
  const notes: string[] = [];
  const source = await modelBytes(options.model);
  const model = trainable(source, classes, options, (message) => notes.push(message));
  for (const message of notes) yield { type: 'note', message };
  const images = [];
  for (const [i, { picture, label }] of examples.entries()) {
    signal.throwIfAborted();
    const image = await pixelsOf(picture).catch((error: unknown) => {
      throw errorAbout('examples', error, `example ${i + 1}${nameOf(picture)}: `);
    });
    images.push({ image, label: label === undefined ? -1 : classes.indexOf(label) });
    yield { type: 'progress', task: 'decoding', done: i + 1, total: examples.length };
  }
  const settings = { ...usualSettings, ...given(options), augment, mode, seed };
  const store = await storeFor(options, { settings, provider, classes, bytes: source.bytes, images });
  let engine: Engine | undefined, solver: Engine | undefined;
  try {
    engine = await createWebEngine(runtime, provider);
    solver = provider === 'webgpu' ? await createWebEngine(runtime, 'wasm') : undefined;
    const keeping = store && { store, seconds: options.saveEvery ?? usualSeconds };
    const { model: trained, heldOut } = yield* learn(engine, model, images, settings, { solver, signal, keeping });
    const provenance = { technique: mode, mode, seed, engine: engine.description };
    const bytes = exportModel({ ...trained, labels: classes }, provenance);
    await store?.clear();
    return { model: bytes, classes, heldOut };
  } catch (error) {
    if (!signal.aborted) throw error;
    const next = store ? 'call it again with the same examples to go on' : 'nothing was kept; `state` keeps it';
    throw new PupilError('interrupted', `the training was stopped; ${next}`, { cause: error });
  } finally {
    store?.close();
    await engine?.close();
    await solver?.close();
  }
}

/** ` (cat.jpg)`, where it has a name; what cannot be fetched is told with its address. */
const nameOf = (picture: Picture): string =>
  typeof File !== 'undefined' && picture instanceof File ? ` (${picture.name})` : '';

/** Default of `saveEvery`. */
const usualSeconds = 10;

/** Where the state is kept, if it is: that of any other training counts as none. */
async function storeFor(
  { state, normalize, size }: WebTrainOptions,
  made: {
    readonly settings: object;
    readonly provider: string;
    readonly classes: readonly string[];
    readonly bytes: Uint8Array;
    readonly images: readonly LabelledImage[];
  },
): Promise<TrainingStore | undefined> {
  if (state === undefined) return undefined;
  const { settings, provider, classes, bytes, images } = made;
  const facts = { settings, provider, classes, normalize, size, labels: images.map(({ label }) => label) };
  const pixels = images.map(({ image }) => image.data);
  return openStore(state, await keyOf([JSON.stringify(facts), bytes, ...pixels]));
}

/** A network with a fresh last layer for the classes. */
export function trainable(
  { name, bytes }: { readonly name: string; readonly bytes: Uint8Array },
  classes: readonly string[],
  { normalize, size, seed = 0, licence }: Pick<WebTrainOptions, 'normalize' | 'size' | 'seed' | 'licence'>,
  warn: (message: string) => void,
): Model {
  const { model } = importFile(decodeOnnx(bytes, { name }), name, { normalize, size, isForTraining: true, warn });
  const backbone = { name, licence: null, ...model.backbone, ...(licence === undefined ? {} : { licence }) };
  const head = isEncoder(model) ? undefined : requireHead(model);
  return replaceHead({ ...model, head, backbone }, classes, { seed });
}

/** Those of the numbers that were given. */
const given = ({ epochs, batchSize, lr, backboneLr, flip, rejection }: WebTrainOptions): Partial<WebTrainOptions> =>
  Object.fromEntries(
    Object.entries({ epochs, batchSize, lr, backboneLr, flip, rejection }).filter(([, value]) => value !== undefined),
  );

/** The names of the classes, in order. Throws `bad-data` for fewer than two. */
function classesOf(examples: readonly Example[]): string[] {
  const labels = [...new Set(examples.flatMap(({ label }) => (label === undefined ? [] : [label])))];
  if (labels.length < 2)
    throw new PupilError(
      'bad-data',
      `${labels.length === 0 ? 'no picture has a label' : `all labels are ${shown(labels[0])}`}; ` +
        'label pictures of two classes or more',
    );
  return labels.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}
