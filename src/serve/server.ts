/** `pupil serve`: a model behind an HTTP address, also as a Label Studio ML backend. */
import { timingSafeEqual } from 'node:crypto';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { Hono, type Context, type MiddlewareHandler } from 'hono';
import { PupilError } from '../errors.js';
import type { Classifier } from '../evaluate/classifier.js';
import { loadModel, type Picture } from '../evaluate/load.js';
import { limitBody } from '../http/body-limit.js';
import { labelStudio, type LabelStudioHost } from './label-studio.js';
import { description } from './openapi.js';

export interface ServeOptions {
  /** 0 (default): any that is free. */
  readonly port?: number | undefined;
  /** The address to listen at; default 127.0.0.1. Another one needs a token. */
  readonly host?: string | undefined;
  /** What requests have to bring as `Authorization: Bearer TOKEN`. */
  readonly token?: string | undefined;
  /** Where Label Studio runs, whose images may be fetched: `http://localhost:8080`. */
  readonly labelStudio?: string | undefined;
}

export interface Serving {
  readonly address: string;
  /** Answers what was asked already, and ends. */
  close(): Promise<void>;
}

/** Bytes of an image, or of Label Studio's tasks. */
export const largest = 32 * 2 ** 20;
/** Requests that are worked on at once, and that wait; further ones are told to come back. */
const atOnce = 2,
  waiting = 64;
/** Milliseconds for requests under way when the server ends. */
const patience = 10_000;

const failure = (code: string, message: string) => ({ error: { code, message } });

/**
 * Serves a model. Throws `usage` for an address beyond this machine without a token and for a port that is
 * taken, `not-found` and `bad-model` for a model that is none.
 */
export async function serve(model: string, options: ServeOptions = {}): Promise<Serving> {
  const { port = 0, host = '127.0.0.1', token, labelStudio: annotator } = options;
  if (!isLoopback(host) && token === undefined)
    throw new PupilError('usage', `\`host: ${host}\` can be reached from other machines: give a \`token\`, too`, {
      option: 'token',
    });
  const classifier = await loadModel(model);
  const app = new Hono();
  const http = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server;
  http.headersTimeout = 10_000;
  http.requestTimeout = 60_000;
  http.maxConnections = 256;
  addRoutes(app, classifier, { host, token, annotator: { origin: originOf(annotator) } });
  try {
    await listen(http, port, host);
  } catch (error) {
    await classifier.close();
    throw error;
  }
  const shown = host.includes(':') ? `[${host}]` : host;
  return {
    address: `http://${shown}:${(http.address() as AddressInfo).port}`,
    async close() {
      const closed = new Promise<void>((resolve) => http.close(() => resolve()));
      http.closeIdleConnections();
      const timer = setTimeout(() => http.closeAllConnections(), patience);
      await closed;
      clearTimeout(timer);
      await classifier.close();
    },
  };
}

interface Door {
  readonly host: string;
  readonly token: string | undefined;
  readonly annotator: LabelStudioHost;
}

function addRoutes(app: Hono, classifier: Classifier<Picture>, { host, token, annotator }: Door): void {
  app.onError((error, context) => {
    if (error instanceof PupilError) return context.json(failure(error.code, error.message), 400);
    process.stderr.write(`pupil: internal error: ${error.message}\n`);
    return context.json(failure('internal', 'an internal error (a bug in Pupil)'), 500);
  });
  app.use(guard(host, token));
  const limit = limiter();
  const body = limitBody(largest, (context) =>
    context.json(failure('usage', `at most ${largest / 2 ** 20} MiB can be sent`), 413),
  );
  app.get('/', (context) => context.redirect('/openapi.json', 302));
  app.get('/openapi.json', (context) => context.json(description(classifier.labels)));
  app.get('/health', (context) => context.json({ status: 'UP', model_class: 'pupil', labels: classifier.labels }));
  const tasks = labelStudio(classifier, annotator);
  app.post('/setup', body, async (context) => context.json(tasks.setup(await jsonIn(context))));
  app.post('/webhook', body, (context) => context.json({}, 200));
  app.post('/predict', body, (context) =>
    limit(context, async () => {
      // Label Studio sends tasks, everybody else an image.
      if (isJson(context)) return context.json(await tasks.predict(await jsonIn(context)));
      const bytes = new Uint8Array(await context.req.arrayBuffer());
      if (bytes.length === 0) throw new PupilError('usage', 'the body is empty; send the bytes of an image');
      const { label, confidence, none, probabilities } = await classifier.predict(bytes);
      return context.json({ label: none ? null : label, confidence, probabilities });
    }),
  );
  app.all('*', (context) => context.json(failure('not-found', 'no such address; see /openapi.json'), 404));
}

const isJson = (context: Context): boolean => (context.req.header('content-type') ?? '').startsWith('application/json');

async function jsonIn(context: Context): Promise<unknown> {
  try {
    return (await context.req.json()) as unknown;
  } catch {
    throw new PupilError('usage', 'the body is not JSON');
  }
}

/** Who may ask: with the token if there is one; without it only programs of this machine, and no web page. */
function guard(host: string, token: string | undefined): MiddlewareHandler {
  return async (context, next) => {
    const ask = (name: string): string | undefined => context.req.header(name);
    context.header('X-Content-Type-Options', 'nosniff');
    if (token !== undefined) {
      if (isSame(ask('authorization') ?? '', `Bearer ${token}`)) return next();
      return context.json(failure('forbidden', 'send the token as Authorization: Bearer TOKEN'), 401);
    }
    const named = (ask('host') ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
    if ((!isLoopback(named) && named !== host) || ask('origin') !== undefined)
      return context.json(failure('forbidden', 'only programs of this machine are answered'), 403);
    return next();
  };
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host);

function originOf(address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  if (URL.canParse(address) && /^https?:$/.test(new URL(address).protocol)) return new URL(address).origin;
  throw new PupilError('usage', `\`labelStudio: ${address}\`: give an address such as http://localhost:8080`, {
    option: 'labelStudio',
  });
}

/** Works on a few requests at once; the others wait, and those that are too many are told when to come back. */
function limiter() {
  let running = 0;
  const queue: (() => void)[] = [];
  return async (context: Context, work: () => Promise<Response>): Promise<Response> => {
    if (running >= atOnce) {
      if (queue.length >= waiting)
        return context.json(failure('busy', 'too many requests wait'), 503, { 'Retry-After': '1' });
      await new Promise<void>((resolve) => queue.push(resolve));
    } else running++;
    try {
      return await work();
    } finally {
      const next = queue.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}

const listen = (server: Server, port: number, host: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new PupilError('usage', `cannot listen at ${host}, port ${port} (${error.code}); choose another \`port\``, {
          option: 'port',
        }),
      ),
    );
    server.listen(port, host, resolve);
  });
