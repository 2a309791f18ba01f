import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Preprocessing } from '../data/preprocessing.js';
import { PupilError } from '../errors.js';
import { cardLicence } from './licence.js';
import { hubArchitecture, hubChannels, hubLabels, hubOtherTask, hubPreprocessing } from './hub-config.js';

/** What is known about a model besides its file. */
export interface Description {
  /** timm's or transformers' name of the architecture. */
  readonly architecture: string | undefined;
  readonly preprocessing: Preprocessing | undefined;
  readonly labels: readonly string[] | undefined;
  /** The order of the colours, where it is not red first. */
  readonly channels?: 'bgr' | undefined;
  /** The name of a network that gives neither classes nor features (`hubOtherTask`). */
  readonly otherTask?: string | undefined;
  /** Under which the weights were published. */
  readonly licence?: string | undefined;
}

/** What the two files say that repositories of the Hugging Face hub have, as JSON. */
export const describe = (config: unknown, preprocessor?: unknown): Description => ({
  architecture: hubArchitecture(config),
  preprocessing: hubPreprocessing(preprocessor, config),
  labels: hubLabels(config),
  otherTask: hubOtherTask(config),
  channels: hubChannels(preprocessor),
});

/** Names of files with one class a line, or a list or an `id2label` as JSON. */
const labelFiles = ['labels.txt', 'classes.txt', 'labels.json', 'classes.json'];

/**
 * What `config.json`, `preprocessor_config.json`, a file of class names and the heading of a
 * `README.md` beside a model say; also in the folder above, when the model lies in one called `onnx`,
 * as transformers.js has it. Throws `bad-model` for one that is not JSON.
 */
export async function describeBeside(path: string): Promise<Description> {
  const own = dirname(path);
  const folders = basename(own) === 'onnx' ? [own, dirname(own)] : [own];
  const found: Description[] = [];
  for (const folder of folders) {
    const described = describe(
      await jsonAt(join(folder, 'config.json')),
      await jsonAt(join(folder, 'preprocessor_config.json')),
    );
    const card = await readFile(join(folder, 'README.md'), 'utf8').catch(() => undefined);
    found.push({
      ...described,
      labels: described.labels ?? (await labelsIn(folder)),
      licence: card === undefined ? undefined : cardLicence(card),
    });
  }
  const first = <K extends keyof Description>(key: K): Description[K] | undefined =>
    found.map((description) => description[key]).find((value) => value !== undefined);
  return {
    architecture: first('architecture'),
    preprocessing: first('preprocessing'),
    labels: first('labels'),
    otherTask: first('otherTask'),
    channels: first('channels'),
    licence: first('licence'),
  };
}

async function jsonAt(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new PupilError('bad-model', `${path}: not JSON; take a whole copy, or move the model to a folder without it`);
  }
}

async function labelsIn(folder: string): Promise<readonly string[] | undefined> {
  for (const name of labelFiles) {
    const text = await readFile(join(folder, name), 'utf8').catch(() => undefined);
    const labels = text === undefined ? undefined : labelsOf(text);
    if (labels) return labels;
  }
  return undefined;
}

/**
 * The class names of a text: one a line, or JSON: a list, or an object from index to name, also as
 * `id2label`. Undefined when it is none of these.
 */
function labelsOf(text: string): readonly string[] | undefined {
  const isJson = /^\s*[[{]/.test(text);
  if (!isJson) {
    const lines = text.split(/\r?\n/).map((line) => line.trim());
    while (lines.at(-1) === '') lines.pop();
    return lines.length > 0 && lines.every((line) => line !== '') ? lines : undefined;
  }
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value)) return hubLabels({ label_names: value });
    return hubLabels(value) ?? hubLabels({ id2label: value });
  } catch {
    return undefined;
  }
}

/** Reads a file of class names. Throws `not-found`, or `bad-data` when it is not one. */
export async function readClassNames(path: string): Promise<readonly string[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new PupilError('not-found', `${path}: cannot be read; give a file with one class name a line`, {
      cause,
      option: 'classNames',
    });
  }
  const labels = labelsOf(text);
  const twice = labels?.find((name, i) => labels.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new PupilError('bad-data', `${path}: names ${JSON.stringify(twice)} twice; give each class its own name`, {
      option: 'classNames',
    });
  }
  if (labels) return labels;
  throw new PupilError(
    'bad-data',
    `${path}: not a list of class names; give one name a line, or JSON: a list, or an object from index to name`,
    { option: 'classNames' },
  );
}
