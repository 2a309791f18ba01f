/** The addresses below /api (protocol.ts): each reads what it was sent, and answers JSON. */
import { readFile } from 'node:fs/promises';
import { Hono, type Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import { PupilError, type ErrorCode } from '../errors.js';
import type { StudioAssistant } from './assistant.js';
import { readBody, readCheck, readClassChange, readLabelChanges, readRunRequest } from './bodies.js';
import type { Bus } from './bus.js';
import type { Images } from './folder.js';
import { optionFields } from './forms.js';
import type { LabelStore } from './labels.js';
import type { RunLook } from './look.js';
import type { Folder, StudioEvent } from './protocol.js';
import type { Runs } from './runs.js';
import { failure, reportPolicy } from './safety.js';

export interface Parts {
  readonly images: Images;
  readonly labels: LabelStore;
  readonly assistant: StudioAssistant;
  readonly runs: Runs;
  readonly look: RunLook;
  readonly bus: Bus;
  /** Settles when the labels know the images. */
  readonly attached: Promise<void>;
  /** Looks for images that came or went. */
  rescan(): Promise<void>;
}

const statusOf: Readonly<Partial<Record<ErrorCode, 400 | 404 | 409 | 500>>> = {
  'not-found': 404,
  'busy': 409,
  'exists': 409,
  'io': 500,
  'crashed': 500,
};

/** Windows that listen at once. */
const mostListeners = 32;

export function addApi(app: Hono, parts: Parts): void {
  app.onError((error, context) => {
    if (error instanceof PupilError)
      return context.json(failure(error.code, error.message), statusOf[error.code] ?? 400);
    process.stderr.write(`pupil: internal error: ${error.message}\n`);
    return context.json(failure('internal', 'an internal error (a bug in Pupil)'), 500);
  });
  const api = new Hono();
  addImages(api, parts);
  addLabels(api, parts);
  addLook(api, parts);
  addRuns(api, parts);
  addEvents(api, parts.bus);
  api.all('*', (context) => context.json(failure('not-found', 'no such address'), 404));
  app.route('/api', api);
}

/** A whole number in an address. Throws `usage`. */
function numberIn(text: string | undefined, most: number, usual?: number): number {
  if (text === undefined && usual !== undefined) return usual;
  if (text === undefined || !/^\d{1,9}$/.test(text) || Number(text) > most)
    throw new PupilError('usage', `a whole number up to ${most} is expected`);
  return Number(text);
}

const idIn = (context: Context): number => numberIn(context.req.param('id'), 10 ** 9);

export function folderOf({ images, labels, assistant }: Parts): Folder {
  return {
    name: images.name,
    images: images.paths.length - images.missing.size,
    labelled: labels.labels().labels.length,
    unreadable: images.unreadable,
    alike: images.alike,
    manifest: 'labels.csv',
    backbone: assistant.backbone,
    offer: assistant.offer,
    note: images.note,
    progress: [...images.progress.values()],
  };
}

function addImages(api: Hono, parts: Parts): void {
  const { images, assistant } = parts;
  api.get('/folder', (context) => context.json(folderOf(parts)));
  api.post('/backbone', async (context) => {
    await assistant.fetchBackbone();
    return context.json(folderOf(parts));
  });
  api.post('/rescan', async (context) => {
    await parts.rescan();
    return context.json(folderOf(parts));
  });
  api.get('/images', async (context) => {
    await parts.attached;
    return context.json(images.list());
  });
  const send = (context: Context, hash: string, type: string, bytes: () => Promise<Uint8Array>) => {
    const tag = `"${hash}"`;
    const headers = { 'ETag': tag, 'Cache-Control': 'private, no-cache', 'Content-Type': type };
    if (context.req.header('if-none-match') === tag) return context.body(null, 304, headers);
    return bytes().then((data) => context.body(Uint8Array.from(data), 200, headers));
  };
  const hashOf = (id: number): string => images.samples[id]?.hash ?? '';
  api.get('/thumbnail/:id', async (context) => {
    const id = idIn(context);
    const file = await images.thumbnail(id);
    return send(context, hashOf(id), 'image/jpeg', () => readFile(file));
  });
  api.get('/picture/:id', async (context) => {
    const id = idIn(context);
    const { bytes, type } = await images.picture(id);
    return send(context, hashOf(id), type, () => Promise.resolve(bytes));
  });
}

function addLabels(api: Hono, { images, labels, assistant, attached }: Parts): void {
  api.get('/labels', async (context) => {
    await attached;
    return context.json(labels.labels());
  });
  api.post('/labels', async (context) => {
    await attached;
    const answer = await labels.change(readLabelChanges(await readBody(context), images.paths.length));
    return context.json(answer, answer.conflicts === undefined ? 200 : 409);
  });
  api.post('/classes', async (context) => {
    await attached;
    return context.json(await labels.changeClasses(readClassChange(await readBody(context))));
  });
  api.get('/next', async (context) => {
    await attached;
    return context.json(await assistant.next(numberIn(context.req.query('count'), 500, 10)));
  });
  api.get('/alike/:id', async (context) => {
    const id = idIn(context);
    return context.json(await assistant.alike(id, numberIn(context.req.query('count'), 500, 20)));
  });
  api.get('/assistant', (context) => context.json(assistant.says()));
  api.get('/check', (context) => context.json(assistant.check()));
  api.post('/check', async (context) => {
    await attached;
    return context.json(await assistant.decide(readCheck(await readBody(context), images.paths.length)));
  });
}

/** Before the addresses of runs by name: `compare` is none. */
function addLook(api: Hono, { look }: Parts): void {
  api.get('/runs/compare', async (context) =>
    context.json(await look.compare((context.req.query('runs') ?? '').split(',').filter((name) => name !== ''))),
  );
  api.get('/runs/:name/held-out', async (context) => context.json(await look.heldOut(context.req.param('name'))));
  api.get('/runs/:name/heat/:id', async (context) => {
    const jpeg = await look.heat(context.req.param('name'), idIn(context), context.req.query('label'));
    return context.body(Uint8Array.from(jpeg), 200, { 'Content-Type': 'image/jpeg' });
  });
  api.get('/nearest/:id', async (context) =>
    context.json(await look.nearest(idIn(context), numberIn(context.req.query('count'), 100, 12))),
  );
}

function addRuns(api: Hono, { runs }: Parts): void {
  api.get('/options/:command', (context) => context.json(optionFields(context.req.param('command'))));
  api.get('/runs', async (context) => context.json(await runs.list()));
  api.post('/runs', async (context) => context.json(await runs.start(readRunRequest(await readBody(context)))));
  api.get('/runs/:name', async (context) => context.json(await runs.detail(context.req.param('name'))));
  api.post('/runs/:name/stop', async (context) => context.json(await runs.stop(context.req.param('name'))));
  api.post('/runs/:name/resume', async (context) => context.json(await runs.resume(context.req.param('name'))));
  api.post('/runs/:name/predict', async (context) => {
    const bytes = new Uint8Array(await context.req.arrayBuffer());
    return context.json(await runs.predict(context.req.param('name'), bytes));
  });
  api.get('/runs/:name/files/:file', async (context) => {
    const { bytes, type } = await runs.file(context.req.param('name'), context.req.param('file'));
    context.header('Content-Security-Policy', reportPolicy);
    return context.body(Uint8Array.from(bytes), 200, { 'Content-Type': type });
  });
}

function addEvents(api: Hono, bus: Bus): void {
  let listeners = 0;
  api.get('/events', (context) => {
    if (listeners >= mostListeners) return context.json(failure('busy', 'too many windows are open'), 429);
    listeners++;
    return streamSSE(context, async (stream) => {
      let queue: StudioEvent[] = [],
        wake = (): void => undefined;
      const stop = bus.listen((event) => {
        // Of progress only the latest counts; a window that does not read gets no endless queue.
        if (event.type === 'progress')
          queue = queue.filter((one) => one.type !== 'progress' || one.progress.task !== event.progress.task);
        if (queue.length < 1000) queue.push(event);
        wake();
      });
      stream.onAbort(() => wake());
      try {
        await stream.write(': open\n\n');
        while (!stream.aborted && !stream.closed) {
          const event = queue.shift();
          if (event !== undefined) await stream.writeSSE({ data: JSON.stringify(event) });
          else if (await isQuiet((call) => (wake = call))) await stream.write(': still here\n\n');
        }
      } finally {
        stop();
        listeners--;
      }
    });
  });
}

/** Waits for the next event, 15 seconds at most; true where none came. */
const isQuiet = (onWake: (call: () => void) => void): Promise<boolean> =>
  new Promise((resolve) => {
    const timer = setTimeout(() => resolve(true), 15_000);
    onWake(() => {
      clearTimeout(timer);
      resolve(false);
    });
  });
