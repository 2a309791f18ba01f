/** What the page holds: pictures by class, the training, the model. */
import { computed, signal } from '@preact/signals';
import { loadModel, train, type Classifier, type WebTrainEvent } from '../../dist/web.js';
import { isImageFile } from '../../studio/src/parts/dropped.ts';
import type { Prediction } from '../../studio/src/protocol.ts';
import { asked, backboneAt } from './backbone.ts';

export interface Photo {
  readonly key: number;
  readonly file: Blob;
  /** The address of the picture in this window. */
  readonly picture: string;
}

export interface ClassOfPhotos {
  readonly key: number;
  readonly name: string;
  readonly photos: readonly Photo[];
}

export interface Model {
  /** The address of its file in this window. */
  readonly address: string;
  readonly bytes: number;
  readonly classifier: Classifier;
  /** On labels that it was not told; undefined: none could be held out. */
  readonly heldOut: { readonly top1: number; readonly count: number } | undefined;
  readonly seconds: number;
}

let keys = 0;
const fresh = (name: string): ClassOfPhotos => ({ key: keys++, name, photos: [] });

export const classes = signal<readonly ClassOfPhotos[]>([fresh('Class 1'), fresh('Class 2')]);
export const address = signal(asked.address);
/** How far a training is; null: there is none. */
export const progress = signal<{ readonly says: string; readonly done: number } | null>(null);
export const problem = signal<string | null>(null);
export const model = signal<Model | null>(null);

const change = (key: number, to: (one: ClassOfPhotos) => ClassOfPhotos): void => {
  classes.value = classes.value.map((one) => (one.key === key ? to(one) : one));
};
export const addClass = (): void => {
  classes.value = [...classes.value, fresh(`Class ${classes.value.length + 1}`)];
};
export const removeClass = (key: number): void => {
  classes.value = classes.value.filter((one) => one.key !== key);
};
export const rename = (key: number, name: string): void => change(key, (one) => ({ ...one, name }));
export const addPhotos = (key: number, files: Iterable<Blob>): void => {
  const added = [...files]
    .filter((file) => !(file instanceof File) || isImageFile(file))
    .map((file) => ({ key: keys++, file, picture: URL.createObjectURL(file) }));
  change(key, (one) => ({ ...one, photos: [...one.photos, ...added] }));
};
export const removePhoto = (key: number, photo: number): void =>
  change(key, (one) => ({ ...one, photos: one.photos.filter((other) => other.key !== photo) }));

/** What is missing before one can train; null: nothing. */
export const missing = computed(() => {
  const filled = classes.value.filter(({ photos }) => photos.length > 0);
  if (filled.length < 2) return 'Give photos of two classes.';
  const names = filled.map(({ name }) => name.trim());
  if (names.includes('')) return 'Name every class.';
  if (new Set(names).size < names.length) return 'Give each class its own name.';
  return null;
});

const says = (event: WebTrainEvent): { says: string; done: number } | undefined => {
  if (event.type !== 'progress') return undefined;
  const { task, done, total } = event;
  if (task === 'decoding') return { says: 'Reading photos', done: (0.2 * done) / total };
  if (task === 'features') return { says: 'Looking at photos', done: 0.2 + (0.7 * done) / total };
  return { says: 'Learning', done: 0.95 };
};

let stop = new AbortController();
export const stopTraining = (): void => stop.abort();

export async function startTraining(): Promise<void> {
  const examples = classes.value.flatMap(({ name, photos }) =>
    photos.map(({ file }) => ({ picture: file, label: name.trim() })),
  );
  const { address: source, ...said } = backboneAt(address.value.trim());
  stop = new AbortController();
  problem.value = null;
  progress.value = { says: 'Loading the pretrained network', done: 0 };
  const from = performance.now();
  try {
    const job = train(examples, {
      ...said,
      model: new URL(source, location.href),
      worker: () => new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' }),
      signal: stop.signal,
    });
    for await (const event of job) if (event.type !== 'result') progress.value = says(event) ?? progress.value;
    const { model: bytes, heldOut } = await job;
    await replaceModel(bytes, { heldOut, seconds: (performance.now() - from) / 1000 });
  } catch (error) {
    if (!stop.signal.aborted) problem.value = (error as Error).message;
  } finally {
    progress.value = null;
  }
}

async function replaceModel(bytes: Uint8Array, about: Pick<Model, 'heldOut' | 'seconds'>): Promise<void> {
  const classifier = await loadModel(bytes);
  const before = model.value;
  const file = new Blob([bytes as Uint8Array<ArrayBuffer>]);
  model.value = { ...about, classifier, bytes: bytes.length, address: URL.createObjectURL(file) };
  if (before === null) return;
  URL.revokeObjectURL(before.address);
  await before.classifier[Symbol.asyncDispose]();
}

/** What the model says, as the studio shows it. */
export async function predict(picture: ImageBitmapSource): Promise<Prediction> {
  const { label, none, probabilities } = await model.value!.classifier.predict(picture);
  const all = Object.entries(probabilities).map(([name, probability]) => ({ label: name, probability }));
  return { label: none ? null : label, probabilities: all.sort((a, b) => b.probability - a.probability) };
}
