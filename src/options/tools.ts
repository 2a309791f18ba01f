/** Tables of the commands that do not train. */
import { scaleNames } from '../augment/scale-names.js';
import { choice, flag, list, notNegative, path, policy, probability, text, valueOf, whole } from './kinds.js';
import { machine, runFolder, sharedFeatures, skip } from './machine.js';
import { group, omit, option, pick, type Asked, type Given } from './option.js';
import { pictureOptions } from './pictures.js';
import { gapMeasure, pseudoLabels } from './recipes.js';
import { trainingOptions } from './training.js';

const { engine, threads, workers, signal } = machine;
const { seed, flip } = trainingOptions;
const foreign = pick(trainingOptions, ['head', 'modelOutput', 'features', 'normalize', 'channels', 'size']);
/** Of a foreign classifier as it is. */
const asItIs = {
  modelOutput: foreign.modelOutput,
  normalize: foreign.normalize,
  channels: foreign.channels,
  size: foreign.size,
  classNames: option(path('file'), {
    says: 'for ONNX files not made by Pupil: a file with its class names, one a line or as JSON',
    group: foreign.head.group,
    otherwise: 'from the file, the folder or the repository',
  }),
} as const;

/** Where features are computed, by commands without a run folder. */
const looking = { engine, threads, workers, featureCache: sharedFeatures, signal } as const;

/** A folder for the command's result as a file. */
const saved = {
  ...runFolder.out,
  says: 'folder to save the result in as JSON',
  otherwise: 'nothing is saved',
} as const;
const batchSize = option(whole(1), {
  says: 'images predicted at once',
  group: 'Machine',
  usual: 32,
  argument: 'images',
});
const tta = option(flag, {
  says: 'average predictions over flips and crops (ten times the work)',
  group: 'Prediction',
  usual: false,
  rank: 2,
  label: 'test-time augmentation',
});

/** `gap`. */
export const gapOptions = {
  ...group('What is compared', {
    real: option(list(path('folder')), {
      says: 'real images: a folder, tar or manifest; labels are not needed (required, repeatable)',
      rank: 1,
      label: 'real images',
    }),
    model: option(path('model'), {
      says: 'whose features are compared: run folder, ONNX file or hf:owner/repo[/file]',
      rank: 2,
    }),
    augment: option(list(policy), {
      says: 'an augmentation policy to compare, in any form that train takes (repeatable)',
      otherwise: gapMeasure.augment.join(', '),
      rank: 3,
    }),
    draws: option(whole(1), {
      says: 'how often each training image is augmented',
      usual: gapMeasure.draws,
      rank: 4,
    }),
    flip: { ...flip, no: 'never mirror images' },
    neighbours: option(whole(1), {
      says: 'k of coverage and density',
      usual: gapMeasure.neighbours,
    }),
    top: option(whole(0), {
      says: 'how many of the least covered real images to name',
      usual: gapMeasure.top,
      rank: 5,
    }),
    limit: option(whole(3), {
      says: 'images of each side at most, chosen by seed',
      usual: gapMeasure.limit,
      rank: 6,
      argument: 'images',
    }),
  }),
  ...foreign,
  out: runFolder.out,
  seed,
  ...looking,
} as const;

/** `pseudo-label`. */
export const pseudoLabelOptions = {
  ...group('Labelling', {
    model: option(path('model'), {
      says: 'the model that labels: run folder, ONNX file or hf:owner/repo[/file] (required)',
      rank: 1,
    }),
    out: option(path('file'), {
      says: 'the .parquet or .csv file to write (required)',
      unsaved: true,
      rank: 2,
    }),
    threshold: option(probability, {
      says: 'minimum confidence of an accepted label',
      usual: pseudoLabels.soft.threshold,
      rank: 3,
    }),
    soft: option(flag, {
      says: 'let training learn from the probabilities instead of the labels',
      usual: false,
      rank: 4,
    }),
    perClass: option(whole(1), {
      says: 'accept so many of the most confident of each class; short classes are duplicated',
      rank: 5,
    }),
    balance: option(flag, {
      says: 'duplicate images of short classes',
      otherwise: 'with `perClass`',
    }),
    exclude: option(list(path('folder')), {
      says: 'skip images that are also in this data, in any split (repeatable)',
      rank: 6,
    }),
    like: option(list(path('folder')), {
      says: 'do not accept images that look unlike all of this data (repeatable)',
      rank: 7,
    }),
  }),
  ...asItIs,
  head: foreign.head,
  batchSize,
  skip,
  seed,
  engine,
  threads,
  workers,
  signal,
} as const;

/** `suggest`. */
export const suggestOptions = {
  ...group('Suggestions', {
    labels: option(whole(1), {
      says: 'how many images to suggest (required)',
      rank: 1,
      argument: 'images',
      label: 'images to label',
    }),
    model: option(path('model'), {
      says: 'whose features tell which images are alike: run folder, ONNX file or hf:owner/repo[/file] (required)',
      rank: 2,
    }),
    data: option(path('data'), {
      says: 'what is labelled already: a folder with one subfolder per class, a .tar of one, or a manifest',
      rank: 3,
      label: 'labelled images',
    }),
    out: option(path('file'), {
      says: 'the .csv file to write, to fill in; a picture of its images goes beside it (required)',
      unsaved: true,
      rank: 4,
    }),
  }),
  ...foreign,
  ...looking,
} as const;

/** `evaluate` of the library: a model is loaded already. */
export const measureOptions = {
  ...group('Prediction', {
    split: option(choice(['train', 'val', 'test', 'all']), {
      says: 'which split is measured: train, val, test or all',
      otherwise: 'test, else val, else all',
      argument: 'split',
      rank: 1,
    }),
  }),
  tta,
  batchSize,
  skip,
  workers,
  onProgress: option(
    valueOf<(done: number, total: number) => void>('a function', (value) => typeof value === 'function'),
    { says: 'is told how many images are done, and of how many', group: 'Prediction', flag: false },
  ),
} as const;

/** `evaluate`. */
export const evaluateOptions = {
  ...omit(measureOptions, ['onProgress']),
  ...asItIs,
  out: { ...saved, rank: 3 },
  engine,
  threads,
} as const;

/** `compare`. */
export const compareOptions = {
  ...omit(measureOptions, ['onProgress']),
  ...asItIs,
  out: { ...saved, rank: 3 },
  engine,
  threads,
  signal,
} as const;

/** `loadModel` of the library. */
export const loadOptions = {
  engine,
  threads,
  precision: {
    ...machine.precision,
    says: 'f32, or bf16 on oneDNN and a processor that has it, for a teacher of many images',
    usual: 'f32',
  },
  purpose: option(choice(['prediction', 'evaluation']), {
    says: 'what the automatic engine is chosen for: prediction of a few images, or evaluation of many',
    group: 'Machine',
    usual: 'prediction',
  }),
  ...asItIs,
  onWarning: option(
    valueOf<(message: string) => void>('a function', (value) => typeof value === 'function'),
    { says: 'is told what is assumed about a file that Pupil did not make', group: 'Prediction', flag: false },
  ),
  int8: option(list(path('folder')), {
    says: 'images to scale by: the model then computes on 8-bit integers, on onnxruntime (docs/quantisation.md)',
    group: 'Prediction',
  }),
} as const;

/** `predict`. */
export const predictOptions = {
  ...group('Prediction', {
    top: option(whole(1), { says: 'classes to show for each image', usual: 3, rank: 1 }),
    csv: option(path('file'), {
      says: 'a CSV file to write: path, label and confidence of each image',
      otherwise: 'none is written',
      unsaved: true,
      rank: 3,
    }),
    out: option(path('file'), {
      says: 'a JSON file to write: all that `json` prints',
      otherwise: 'none is written',
      unsaved: true,
      rank: 4,
    }),
  }),
  threshold: pictureOptions.threshold,
  rejection: pictureOptions.rejection,
  tta,
  batchSize,
  skip,
  ...asItIs,
  engine,
  threads,
} as const;

/** `export`. */
export const exportOptions = {
  ...group('Export', {
    out: option(path('file'), { says: 'the file to write', unsaved: true, rank: 1 }),
    web: option(path('folder'), {
      says: 'a new folder for a page that classifies in the browser of whoever visits it, from any web host',
      unsaved: true,
      rank: 2,
    }),
    hub: option(path('folder'), {
      says: 'a new folder for the Hugging Face hub, which transformers.js opens, with a model card',
      unsaved: true,
      rank: 2,
    }),
    licence: option(text('name'), {
      says: 'licence of the pretrained network, such as apache-2.0, where its source does not state it',
      otherwise: 'as its source states it',
      rank: 3,
    }),
    fp16: option(flag, {
      says: 'store weights as half floats: half the size',
      usual: false,
      rank: 2,
    }),
    int8: option(path('folder'), {
      says: 'compute on 8-bit integers, scaled by images of this data: a quarter of the size, faster',
      rank: 3,
    }),
  }),
  ...asItIs,
  threads: { ...threads, says: 'threads inside an operation, while images are scaled by', only: { with: ['int8'] } },
} as const;

/** `labelErrors` of the library. */
export const labelErrorOptions = {
  ...group('Label errors', {
    model: option(path('model'), {
      says: 'a trained network by whose features labels are doubted: run folder, ONNX file or hf:owner/repo[/file]',
      rank: 1,
    }),
    sheet: option(path('file'), {
      says: 'the PNG file to draw the most doubtful images in',
      otherwise: 'none is drawn',
    }),
  }),
  ...foreign,
  ...looking,
} as const;

/** `doctor`. */
export const doctorOptions = {
  ...group('Checking', {
    all: option(flag, {
      says: 'name every file concerned, not only the first ones',
      usual: false,
      rank: 1,
    }),
    unlabelled: option(list(path('folder')), {
      says: 'images without labels to check as well (repeatable)',
      rank: 2,
    }),
  }),
  ...omit(labelErrorOptions, ['sheet', 'signal']),
  out: { ...saved, rank: 3 },
} as const;

/** `models inspect`. */
export const inspectOptions = { ...foreign, ...asItIs, out: { ...saved, rank: 3 } } as const;

/** `report`. */
export const reportOptions = {
  heatMaps: option(flag, {
    says: 'show what in the image spoke for each of the worst mistakes (Grad-CAM, of convolutional networks)',
    group: 'Report',
    usual: false,
    rank: 1,
  }),
} as const;

/** `augment`. */
export const augmentOptions = {
  ...group('What to draw', {
    out: option(path('file'), {
      says: 'the PNG file to write (required)',
      unsaved: true,
      rank: 1,
    }),
    policy: option(policy, {
      says: 'draws of a policy, in any form that `augment` of train takes',
      rank: 2,
    }),
    op: option(text('name'), {
      says: 'one operation, such as rotate or shear-x, instead of all',
      rank: 3,
      label: 'operation',
    }),
    magnitude: option(notNegative, {
      says: 'before and after at this magnitude of an operation',
      otherwise: 'across magnitudes',
      rank: 4,
    }),
    scale: option(choice(scaleNames), {
      says: `what magnitudes mean: ${scaleNames.join(', ')}`,
      otherwise: scaleNames[0],
    }),
    count: option(whole(1, 500), {
      says: 'draws of a policy',
      otherwise: '24; of a folder, 6 of each image',
      rank: 5,
    }),
    size: option(whole(1, 2048), {
      says: "the model's input height and width, in draws of a policy",
      otherwise: '224',
      argument: 'pixels',
      rank: 6,
    }),
  }),
  ...pick(trainingOptions, ['flip', 'erase', 'cutmix', 'mixup']),
  seed,
} as const;

/** `studio`. */
export const studioOptions = {
  ...group('Studio', {
    model: option(path('model'), {
      says: 'whose features tell which images are alike: run folder, ONNX file or hf:owner/repo[/file]',
      otherwise: 'the usual one, once it is on this machine',
      rank: 1,
    }),
    port: option(whole(0, 65_535), {
      says: 'the port on this machine',
      otherwise: 'one that is free',
      rank: 2,
    }),
    open: option(flag, {
      says: 'open the browser',
      no: 'do not open the browser',
      usual: true,
      rank: 3,
    }),
  }),
  ...pick(trainingOptions, ['head', 'modelOutput', 'features', 'normalize', 'channels']),
} as const;

/** `pupil serve`. */
export const serveOptions = {
  ...group('Serving', {
    port: option(whole(0, 65_535), { says: 'the port to listen at', otherwise: 'one that is free', rank: 1 }),
    host: option(text('address'), {
      says: 'the address to listen at; one that other machines reach needs `token`',
      otherwise: '127.0.0.1, this machine alone',
      rank: 2,
    }),
    token: option(text('token'), {
      says: 'what requests bring as Authorization: Bearer TOKEN',
      otherwise: 'PUPIL_TOKEN in the environment, else none',
      rank: 3,
    }),
    labelStudio: option(text('address'), {
      says: 'the Label Studio whose images may be fetched, such as http://localhost:8080',
      otherwise: 'none are',
      rank: 4,
    }),
  }),
} as const;

export interface GapOptions extends Given<typeof gapOptions> {}
/**
 * What `gap` can be told; `real` is required (docs/options.md).
 */
export interface GapRequest extends Asked<GapOptions> {}
export interface PseudoLabelOptions extends Given<typeof pseudoLabelOptions> {}
/**
 * What `pseudoLabel` can be told; `model` and `out` are required (docs/options.md).
 */
export interface PseudoLabelRequest extends Asked<PseudoLabelOptions> {}
export interface LabelErrorOptions extends Given<typeof labelErrorOptions> {}
/**
 * What `labelErrors` can be told; `model` is required (docs/options.md).
 */
export interface LabelErrorRequest extends Asked<LabelErrorOptions> {}
export interface CompareOptions extends Given<typeof compareOptions> {}
export interface SuggestOptions extends Given<typeof suggestOptions> {}
/**
 * What `suggest` can be told; `labels`, `model` and `out` are required (docs/options.md).
 */
export interface SuggestRequest extends Asked<SuggestOptions> {}
export type AugmentOptions = Given<typeof augmentOptions>;
