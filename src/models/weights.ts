import { basename } from 'node:path';
import { distinctLabels } from '../data/labels.js';
import { parseNormalization } from '../data/preprocessing.js';
import { PupilError } from '../errors.js';
import { suggestion } from '../nearest.js';
import { readSafetensors } from '../safetensors.js';
import { describeBeside, type Description } from './description.js';
import { buildModel, builtInNames, classifierName, isBuiltIn } from './families/index.js';
import type { PreprocessingOptions } from './import/input.js';
import type { Model } from './model.js';

/** timm's weights: a safetensors file of named tensors, for an architecture that is built in. */

export interface WeightsOptions extends PreprocessingOptions {
  /**
   * Default: the `config.json` beside the file, and the built-in name that the file's own begins
   * with.
   */
  readonly description?: Description;
  /** Classes of the fresh classifier that a file without one gets. */
  readonly labels?: readonly string[];
  readonly seed?: number;
  readonly warn?: (message: string) => void;
}

export const isWeights = (path: string): boolean => /\.safetensors$/i.test(path);

/**
 * A model from a safetensors file with timm's parameter names and as many classes as its classifier
 * has; numbers become float32, `num_batches_tracked` is left out. Throws `not-found`, `unsupported`
 * when the architecture is not built in, and `bad-model` with the names of tensors that are
 * missing, too many or of another shape.
 */
export async function loadWeights(path: string, options: WeightsOptions = {}): Promise<Model> {
  const description = options.description ?? (await describeWeights(path));
  const { preprocessing, labels } = description;
  const architecture = architectureOf(path, description.architecture);
  const { tensors } = await readSafetensors(path);
  for (const name of tensors.keys()) if (name.endsWith('num_batches_tracked')) tensors.delete(name);
  const classes = tensors.get(`${classifierName(architecture)}.weight`)?.dims[0];
  if (preprocessing === undefined && options.normalize === undefined) {
    options.warn?.(
      `${path}: no config.json says how images are prepared, so ImageNet's mean and std are used; ` +
        'give others with `normalize`',
    );
  }
  const model = buildModel(architecture, {
    classes,
    labels: classes === undefined ? (options.labels ?? ['unknown']) : undefined,
    seed: options.seed ?? 0,
    inputSize: options.size ?? preprocessing?.size,
    weights: { tensors, file: path },
  });
  if (classes === undefined && options.labels === undefined) {
    throw new PupilError(
      'bad-model',
      `${path}: holds features only (no ${classifierName(architecture)}.weight): train a classifier on it first`,
    );
  }
  const { size, resizeShort } = model.preprocessing;
  const stated = preprocessing ?? model.preprocessing;
  const normalize =
    typeof options.normalize === 'string' ? parseNormalization(options.normalize) : (options.normalize ?? stated);
  return {
    ...model,
    labels: model.labels ?? (labels && labels.length === classes ? distinctLabels(labels) : undefined),
    preprocessing: {
      ...stated,
      size,
      resizeShort: options.size === undefined ? stated.resizeShort : resizeShort,
      mean: normalize.mean,
      std: normalize.std,
    },
  };
}

/**
 * The built-in architecture of a file of weights: the stated one, else what the file's name begins
 * with. Throws `not-found` when neither says, `unsupported` when it is not built in.
 */
export function architectureOf(path: string, stated: string | undefined): string {
  const architecture = stated ?? architectureIn(path);
  if (architecture === undefined) {
    throw new PupilError(
      'not-found',
      `${path}: of which architecture? Put timm's config.json beside it, or let the file's name begin ` +
        'with a built-in one, such as resnet18.safetensors (pupil models list)',
    );
  }
  if (isBuiltIn(architecture)) return architecture;
  throw new PupilError(
    'unsupported',
    `${path}: its architecture ${JSON.stringify(architecture)} is not built in; export it to ONNX and give that file ` +
      `(${suggestion(architecture, builtInNames())})`,
  );
}

/** What is said beside a file, unless the file's name shows that another is meant. */
async function describeWeights(path: string): Promise<Description> {
  const description = await describeBeside(path);
  return [undefined, description.architecture].includes(architectureIn(path))
    ? description
    : { architecture: undefined, preprocessing: undefined, labels: undefined };
}

/** The longest built-in name that a file's name begins with: `resnet18` of `resnet18.a1_in1k`. */
function architectureIn(path: string): string | undefined {
  const name = basename(path).replace(/\.safetensors$/i, '');
  for (let end = name.length; end > 0; end--) {
    const isWhole = end === name.length || /[^A-Za-z0-9]/.test(name[end]!);
    if (isWhole && isBuiltIn(name.slice(0, end))) return name.slice(0, end);
  }
  return undefined;
}
