/// <reference lib="dom" preserve="true" />
/** Training in a web worker: the page's end and the worker's end. */
import { PupilError } from '../errors.js';
import type { Job } from '../job.js';
import { errorOf, failureOf, messageOf, type Failure } from '../threads/protocol.js';
import type { Picture } from './pictures.js';
import type { Example, WebTrained, WebTrainEvent, WebTrainOptions } from './train.js';

/** What the page sends. */
type Order =
  | { readonly type: 'train'; readonly examples: readonly Example[]; readonly options: WebTrainOptions }
  | { readonly type: 'stop' };

/** What the worker sends. */
type News =
  | { readonly type: 'event'; readonly event: WebTrainEvent }
  | { readonly type: 'result'; readonly result: WebTrained }
  | { readonly type: 'failure'; readonly failure: Failure };

/** Milliseconds that a worker has to save its state after it was told to stop. */
const grace = 30_000;

/**
 * The work of `train` in the worker that `options.worker` makes, which is terminated at the end. An abort asks it to
 * save its state and stop.
 */
export async function* trainInWorker(
  examples: readonly Example[],
  { worker: make, signal: _, ...options }: WebTrainOptions,
  signal: AbortSignal,
): AsyncGenerator<WebTrainEvent, WebTrained, undefined> {
  if (options.runtime !== undefined)
    throw new PupilError('usage', '`runtime` cannot be sent to a worker; give it to `serveTraining` in its script', {
      option: 'runtime',
    });
  const transfer: Transferable[] = [];
  const order: Order = {
    type: 'train',
    examples: await Promise.all(
      examples.map(async (example) => ({ ...example, picture: await portable(example.picture, transfer) })),
    ),
    options: { ...options, model: absolute(options.model), wasmPaths: absolute(options.wasmPaths) },
  };
  const worker = make!();
  const { post, take } = mailbox<News>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = (): void => {
    worker.postMessage({ type: 'stop' } satisfies Order);
    const message = 'interrupted; the worker was too busy to save its state and was terminated';
    const failure = failureOf(new PupilError('interrupted', message));
    timer = setTimeout(() => post({ type: 'failure', failure }), grace);
  };
  worker.onmessage = ({ data }) => post(data as News);
  worker.onerror = (event) => {
    const what = `the worker cannot run: ${event.message || 'its script cannot be loaded'}; check its address`;
    post({ type: 'failure', failure: failureOf(new PupilError('unsupported', what, { option: 'worker' })) });
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    signal.throwIfAborted();
    worker.postMessage(order, transfer);
    for (;;) {
      const news = await take();
      if (news.type === 'failure') throw errorOf(news.failure);
      if (news.type === 'result') return news.result;
      yield news.event;
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    worker.terminate();
  }
}

/** Messages in the order in which they came. */
function mailbox<Message>(): { post(message: Message): void; take(): Promise<Message> } {
  const messages: Message[] = [];
  let wake: (() => void) | undefined;
  return {
    post(message) {
      messages.push(message);
      wake?.();
    },
    async take() {
      while (messages.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return messages.shift()!;
    },
  };
}

/** An address as seen from the page: a worker's own may be another. */
const absolute = <T>(value: T): T | string =>
  typeof value === 'string' || value instanceof URL ? new URL(String(value), globalThis.document.baseURI).href : value;

/** A picture that can be sent: an element as its pixels. */
async function portable(picture: Picture, transfer: Transferable[]): Promise<Picture> {
  const isDrawn =
    picture instanceof globalThis.Element ||
    (typeof OffscreenCanvas !== 'undefined' && picture instanceof OffscreenCanvas);
  if (!isDrawn) return absolute(picture);
  const bitmap = await createImageBitmap(picture as ImageBitmapSource).catch((error: unknown) => {
    throw new PupilError('bad-data', `the image cannot be decoded: ${messageOf(error)}`, { cause: error });
  });
  transfer.push(bitmap);
  return bitmap;
}

/** What a worker's script has. */
interface WorkerScope {
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  postMessage(message: News, transfer: Transferable[]): void;
}

/** Lets messages in that came meanwhile: a training computes without a pause. */
const breathe = (): Promise<void> =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });

/** The worker's end: does with `train` what the page asks for. */
export function serve(
  train: (examples: readonly Example[], options: WebTrainOptions) => Job<WebTrainEvent, WebTrained>,
): void {
  const scope = globalThis as unknown as WorkerScope;
  const send = (news: News, transfer: Transferable[] = []): void => scope.postMessage(news, transfer);
  const stop = new AbortController();
  const work = async (examples: readonly Example[], options: WebTrainOptions): Promise<void> => {
    for await (const event of train(examples, { ...options, signal: stop.signal })) {
      if (event.type === 'result') send(event, [event.result.model.buffer as ArrayBuffer]);
      else send({ type: 'event', event });
      await breathe();
    }
  };
  scope.onmessage = ({ data }) => {
    const order = data as Order;
    if (order.type === 'stop') stop.abort();
    else
      work(order.examples, order.options).catch((error: unknown) => {
        send({ type: 'failure', failure: failureOf(error) });
      });
  };
}
