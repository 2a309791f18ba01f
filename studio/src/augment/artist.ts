/** Asks the worker for sheets: one at a time, and of those that wait the latest alone. */
import { batch, signal } from '@preact/signals';
import { connection } from '../state/events.ts';
import { getFile, messageOf, pictureOf, unreachable } from '../state/requests.ts';
import type { Asked, AskedImage, Drawn, Request, Response } from './asked.ts';

/** What is shown; null as long as nothing was drawn. */
export const drawn = signal<Drawn | null>(null);
export const failure = signal<string | null>(null);
export const isDrawing = signal(false);

let worker: Worker | undefined;
/** Images whose files the worker has. */
let sent = new Set<number>();
let number = 0;
let waiting: Wanted | undefined;

export interface Wanted {
  readonly asked: Asked;
  readonly images: readonly AskedImage[];
  readonly classes: readonly string[];
}

const fileOf = (id: number): Promise<Blob> => getFile(pictureOf(id), 'An image cannot be read any more.');

function open(): Worker {
  sent = new Set();
  const opened = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  opened.addEventListener('message', ({ data }: MessageEvent<Response>) => {
    if (data.number === number) end(data.result);
  });
  opened.addEventListener('error', ({ message }) => {
    worker = undefined;
    // Its script may be what could not be had.
    const why = connection.value === 'lost' ? unreachable : 'The sheet cannot be drawn in this browser.';
    end({ failed: message || why });
  });
  return opened;
}

function end(result: Response['result']): void {
  batch(() => {
    isDrawing.value = false;
    if ('failed' in result) failure.value = result.failed;
    else [drawn.value, failure.value] = [result, null];
  });
  const next = waiting;
  waiting = undefined;
  if (next !== undefined) draw(next);
}

export function draw(wanted: Wanted): void {
  if (isDrawing.value) {
    waiting = wanted;
    return;
  }
  isDrawing.value = true;
  send(wanted).catch((error: unknown) => end({ failed: messageOf(error) }));
}

async function send({ asked, images, classes }: Wanted): Promise<void> {
  worker ??= open();
  const known = sent;
  const files = await Promise.all(images.map(({ id }) => (known.has(id) ? Promise.resolve(undefined) : fileOf(id))));
  // What the worker is not asked for it forgets.
  sent = new Set(images.map(({ id }) => id));
  const request: Request = {
    number: ++number,
    asked,
    classes,
    images: images.map((image, i) => ({ ...image, file: files[i] })),
  };
  worker.postMessage(request);
}
