/** Asks a model: in this browser where it runs here, else in the studio's process. */
import { signal } from '@preact/signals';
import type { Prediction } from '../protocol.ts';
import { messageOf, postImage } from '../state/requests.ts';
import { runs } from '../state/runs.ts';
import type { Provider, Request, Response } from './asked.ts';

export type Place = Provider | 'server';
/** Where the last answer came from; null as long as there was none. */
export const place = signal<Place | null>(null);
/** Why models do not run in this browser; null: they do, as far as is known. */
export const obstacle = signal<string | null>(null);

const waiting = new Map<number, (result: Response['result']) => void>();
let worker: Worker | undefined;
let next = 0;

function fail(message: string): void {
  worker?.terminate();
  worker = undefined;
  const left = [...waiting.values()];
  waiting.clear();
  for (const answer of left) answer({ failed: message, isModel: true });
}

function open(): Worker {
  const opened = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  opened.addEventListener('message', ({ data: { number, result } }: MessageEvent<Response>) => {
    waiting.get(number)?.(result);
    waiting.delete(number);
  });
  opened.addEventListener('error', ({ message }) => fail(message || 'a worker cannot be started'));
  return opened;
}

function askWorker(run: string, image: Blob): Promise<Response['result']> {
  return new Promise((resolve) => {
    const number = next++;
    waiting.set(number, resolve);
    worker ??= open();
    const version = runs.value.find(({ name }) => name === run)?.model;
    worker.postMessage({ number, run, version, image } satisfies Request);
  });
}

const askServer = (run: string, image: Blob): Promise<Prediction> =>
  postImage<Prediction>(`/runs/${encodeURIComponent(run)}/predict`, image);

/** What the model of a run says of an image. */
export async function predict(run: string, image: Blob): Promise<Prediction> {
  let why: string | null = null;
  if (obstacle.value === null) {
    const result = await askWorker(run, image).catch((error: unknown) => ({ failed: messageOf(error), isModel: true }));
    if (!('failed' in result)) {
      place.value = result.provider;
      return result;
    }
    if (result.isModel) why = result.failed;
  }
  // Also what this browser cannot decode, such as HEIC.
  const said = await askServer(run, image);
  // Where the studio does not answer either, the model could not be had.
  obstacle.value ??= why;
  place.value = 'server';
  return said;
}
