/** The training and the model that comes out. */
import { signal } from '@preact/signals';
import { loadModel, train, type Classifier, type WebTrainEvent } from '../../dist/web.js';
import type { Prediction } from '../../studio/src/protocol.ts';
import { backboneAt, networkAt } from './backbone.ts';
import { modelFile, type Outcome } from './kept.ts';
import { address, classes, clearPhotos, isTraining, keeper, others, outcome } from './state.ts';

export interface Model {
  /** The address of its file in this window. */
  readonly address: string;
  readonly bytes: number;
  readonly classifier: Classifier;
}

/** How far a training is; null: there is none. */
export const progress = signal<{ readonly says: string; readonly done: number } | null>(null);
export const problem = signal<string | null>(null);
export const model = signal<Model | null>(null);

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
  const examples = [
    ...classes.value.flatMap(({ name, photos }) => photos.map(({ file }) => ({ picture: file, label: name.trim() }))),
    ...others.value.map(({ file }) => ({ picture: file })),
  ];
  const { address: source, ...said } = backboneAt(address.value.trim());
  stop = new AbortController();
  problem.value = null;
  isTraining.value = true;
  progress.value = { says: 'Loading the pretrained network', done: 0 };
  const from = performance.now();
  try {
    const job = train(examples, {
      ...said,
      model: await networkAt({ address: source }),
      worker: () => new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' }),
      state: keeper.value === null ? undefined : 'demo',
      saveEvery: 2,
      signal: stop.signal,
    });
    for await (const event of job) if (event.type !== 'result') progress.value = says(event) ?? progress.value;
    const { model: bytes, heldOut } = await job;
    keeper.value?.write(modelFile, bytes);
    await replaceModel(bytes, { heldOut, seconds: (performance.now() - from) / 1000 });
  } catch (error) {
    if (!stop.signal.aborted) problem.value = (error as Error).message;
  } finally {
    progress.value = null;
    isTraining.value = false;
  }
}

async function replaceModel(bytes: Uint8Array, about: Outcome | null): Promise<void> {
  const before = model.value,
    file = new Blob([bytes as Uint8Array<ArrayBuffer>]);
  const classifier = await loadModel(bytes);
  model.value = { classifier, bytes: bytes.length, address: URL.createObjectURL(file) };
  outcome.value = about;
  await discard(before);
}

async function discard(before: Model | null): Promise<void> {
  if (before === null) return;
  URL.revokeObjectURL(before.address);
  await before.classifier[Symbol.asyncDispose]();
}

/** After a reload: the model is there again, and a training that was under way goes on. */
export async function goOn(): Promise<void> {
  if (isTraining.value) void startTraining();
  if (outcome.value === null) return;
  try {
    const file = await keeper.value!.read(modelFile);
    await replaceModel(new Uint8Array(await file.arrayBuffer()), outcome.value);
  } catch {
    outcome.value = null; // it was not kept
  }
}

/** Forgets photos, labels and the model. */
export async function startOver(): Promise<void> {
  stop.abort();
  const before = model.value;
  model.value = null;
  outcome.value = null;
  problem.value = null;
  await clearPhotos();
  await discard(before);
}

/** What the model says, as the studio shows it. */
export async function predict(picture: ImageBitmapSource): Promise<Prediction> {
  const { label, none, probabilities } = await model.value!.classifier.predict(picture);
  const all = Object.entries(probabilities).map(([name, probability]) => ({ label: name, probability }));
  return { label: none ? null : label, probabilities: all.sort((a, b) => b.probability - a.probability) };
}
