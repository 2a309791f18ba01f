import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { assertPath } from '../arguments.js';
import { parseNormalization } from '../data/preprocessing.js';
import { PupilError } from '../errors.js';
import { buildModel, builtInNames, isBuiltIn } from './families/index.js';
import { describeBeside, readClassNames, type Description } from './description.js';
import { headAt } from './find-head.js';
import { replaceHead, requireHead } from './head.js';
import type { HubOptions } from './hub.js';
import { importOnnx } from './import.js';
import { fixedBatch, isEncoder, type Model } from './model.js';
import { suggestion } from '../nearest.js';
import { isWeights, loadWeights } from './weights.js';

/** What is said of a file that Pupil did not make. */
export interface ForeignOptions {
  /** Node of the classifier, where it is not found by itself. */
  readonly head?: string | undefined;
  /** The output to use, where it has several. */
  readonly modelOutput?: string | undefined;
  /** The value that a new classifier reads. */
  readonly features?: string | undefined;
  /** How its images are normalised: imagenet, symmetric, unit, bytes or MEAN/STD (of x/255). */
  readonly normalize?: string | undefined;
  /** The order of the channels; default `rgb`. */
  readonly channels?: 'rgb' | 'bgr' | undefined;
  /** Side of the input in pixels. */
  readonly size?: number | undefined;
  /** A file with its class names: one a line, or JSON. */
  readonly classNames?: string | undefined;
}

/** Those of a command's options that are about a foreign file. */
export const foreignOf = ({
  head,
  modelOutput,
  features,
  normalize,
  channels,
  size,
  classNames,
}: ForeignOptions): ForeignOptions => ({ head, modelOutput, features, normalize, channels, size, classNames });

export interface ResolveOptions extends ForeignOptions {
  /**
   * The classes the model is to have. A file whose own labels are the same keeps its classifier,
   * else it gets a new one; without labels a file stays as it is, and a built-in network needs
   * `classes`.
   */
  readonly labels?: readonly string[];
  readonly classes?: number;
  /** Draws fresh weights. Default 0. */
  readonly seed?: number;
  /** `scratch` wants a built-in network, `pretrained` anything but one; default: either. */
  readonly purpose?: 'scratch' | 'pretrained';
  readonly hub?: HubOptions;
  /** Gets one-line notes about a file, such as a batch size that is built into it. */
  readonly warn?: (message: string) => void;
}

/** Trained weights, wherever they come from. */
async function load(path: string, options: ResolveOptions, description?: Description): Promise<Model> {
  const { head, normalize, size, labels, seed, warn } = options;
  if (isWeights(path)) {
    const model = await loadWeights(path, { description, normalize, size, labels, seed, warn });
    const licence = (description ?? (await describeBeside(path))).licence ?? null;
    return {
      ...model,
      head: head === undefined ? model.head : headAt(model.graph, model.parameters, head),
      backbone: { name: basename(path), licence },
    };
  }
  const known = description ?? (await describeBeside(path));
  if (known.otherTask !== undefined && options.features === undefined && options.modelOutput === undefined)
    throw new PupilError(
      'unsupported',
      `${path}: is ${known.otherTask} by its config.json, which gives neither classes nor features; take a ` +
        'classifier or an encoder, or name with `features` what a new classifier reads',
      { option: 'model' },
    );
  return importOnnx(path, {
    ...foreignOf(options),
    isForTraining: labels !== undefined,
    description: known,
    classNames: options.classNames === undefined ? undefined : await readClassNames(options.classNames),
    name: description?.architecture ?? (basename(path) === 'model.onnx' ? known.architecture : undefined),
    warn,
  });
}

async function fromHub(spec: string, options: ResolveOptions): Promise<Model> {
  const { pullModel } = await import('./hub.js');
  const pulled = await pullModel(spec, options.hub);
  const model = await load(pulled.path, options, { ...pulled, licence: undefined });
  // A model that Pupil made says itself what it was trained from.
  if (typeof model.backbone?.licence === 'string') return model;
  return { ...model, backbone: { name: pulled.repository, licence: pulled.licence ?? null } };
}

/**
 * The file a path means: itself, a run folder's model, or timm's weights in a folder with its
 * config.json. Undefined when there is nothing at that path. Throws `not-found` for a folder
 * without any.
 */
export async function fileAt(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory()) return found && path;
  for (const name of ['model.onnx', 'onnx/model.onnx', 'model.safetensors']) {
    const inside = join(path, name);
    if ((await stat(inside).catch(() => undefined))?.isFile()) return inside;
  }
  throw new PupilError(
    'not-found',
    `${path}: this folder has no model.onnx; give a finished run, an ONNX file or hf:owner/repo`,
  );
}

function built(name: string, options: ResolveOptions): Model {
  if (options.purpose === 'pretrained') {
    throw new PupilError(
      'usage',
      `${name}: a built-in network has no trained weights; use \`mode: scratch\`, or give an ONNX file, ` +
        "timm's .safetensors, a run folder or hf:owner/repo",
      { option: 'mode' },
    );
  }
  if (options.labels === undefined && options.classes === undefined) {
    throw new PupilError(
      'usage',
      `${name}: a built-in network is untrained; train it first (\`mode: scratch\`) and give its run folder`,
    );
  }
  const model = buildModel(name, {
    labels: options.labels,
    classes: options.classes,
    seed: options.seed ?? 0,
    inputSize: options.size,
  });
  return options.normalize === undefined
    ? model
    : { ...model, preprocessing: { ...model.preprocessing, ...parseNormalization(options.normalize) } };
}

const sameLabels = (a: readonly string[] | undefined, b: readonly string[]): boolean =>
  a?.length === b.length && a.every((label, i) => label === b[i]);

/**
 * The model that `spec` names: a built-in network, an ONNX file, timm's weights for a built-in
 * network (`.safetensors`), a run folder or `hf:owner/repo[/file]`. Throws `not-found` or `usage`
 * with what was meant perhaps, and what importing and downloading throw.
 */
export async function resolveModel(spec: string, options: ResolveOptions = {}): Promise<Model> {
  assertPath(spec, 'a run folder, an ONNX file, timm .safetensors, hf:owner/repo[/file] or a built-in name');
  if (isBuiltIn(spec)) return built(spec, options);
  const remote = spec.startsWith('hf:');
  const path = remote ? undefined : await fileAt(spec);
  if (!remote && path === undefined) {
    const isPath = /[/\\]|\.(onnx|safetensors)$/i.test(spec);
    throw new PupilError(
      'not-found',
      isPath
        ? `${spec}: no such file or folder; give an ONNX file, timm's .safetensors, a run folder, ` +
            'hf:owner/repo or a built-in name'
        : `${spec}: no such model, file or run folder; ${suggestion(spec, builtInNames())}`,
    );
  }
  if (options.purpose === 'scratch') {
    throw new PupilError(
      'usage',
      `${spec}: \`mode: scratch\` trains a built-in network from fresh weights ` +
        `(${builtInNames().slice(0, 4).join(', ')}, ...); use \`mode: finetune\` for a trained one`,
      { option: 'mode' },
    );
  }
  const model = remote ? await fromHub(spec, options) : await load(path!, options);
  if (!options.labels && isEncoder(model))
    throw new PupilError(
      'bad-model',
      `${spec}: an encoder, which has no classifier; train a probe on it first and give that run instead, ` +
        'or say with `modelOutput` which output is class scores',
    );
  const batch = fixedBatch(model);
  if (options.labels && batch !== undefined)
    throw new PupilError(
      'unsupported',
      `${spec}: was exported for batches of ${batch} only; export it with a dynamic batch to train it`,
      { option: 'model' },
    );
  if (!options.labels || sameLabels(model.labels, options.labels)) return model;
  const head = isEncoder(model) ? undefined : requireHead(model, options.head);
  return replaceHead({ ...model, head }, options.labels, { seed: options.seed ?? 0 });
}

export { buildModel, builtInNames, isBuiltIn, largerThan, listModels, parametersOf } from './families/index.js';
