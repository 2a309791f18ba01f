/**
 * Who may ask the studio's server, and how much: one middleware before everything. The server listens on
 * loopback only, but any page in the user's browser can send requests there. So each request has to
 * name this host (else another name was pointed here: DNS rebinding), to come from the studio's own page
 * (`Origin`, `Sec-Fetch-Site`), and to bring the cookie that the first address is exchanged for.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { limitBody } from '../http/body-limit.js';
import type { Failure } from './protocol.js';

export interface Door {
  /** Stands in the first address. */
  readonly token: string;
  readonly guard: MiddlewareHandler;
}

export interface DoorOptions {
  /** Is known once the server listens. */
  readonly port: () => number;
  /** Requests a second that are answered for long, and at once; default 300 and 3000. */
  readonly rate?: number | undefined;
  readonly burst?: number | undefined;
}

/** Bytes of a request's JSON, and of a picture to be classified. */
export const bodyLimits = { json: 8 * 2 ** 20, picture: 64 * 2 ** 20 } as const;

const policy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "media-src 'self' blob:",
  "font-src 'self'",
  "connect-src 'self'",
  "worker-src 'self' blob:",
  "frame-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'self'",
].join('; ');

/** Of a report, which has a style of its own and nothing that runs; sandboxed, it is of no origin. */
export const reportPolicy =
  "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; " +
  "frame-ancestors 'self'; sandbox";

const headers: Readonly<Record<string, string>> = {
  'Content-Security-Policy': policy,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Permissions-Policy': 'camera=(self), microphone=(), geolocation=()',
  'Cache-Control': 'no-store',
};

export const failure = (code: string, message: string): Failure => ({
  error: { code, message },
});

/** What somebody sees who opens an address of before. */
const strangersStyle = 'body{font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}';
const strangersPage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Pupil studio: another address</title><style>${strangersStyle}</style>
<h1>The studio has another address</h1>
<p>Each time it is started, the studio prints an address of its own. Open the newest one: it is in the terminal where
<code>pupil studio</code> runs, and begins with <code>http://127.0.0.1</code>.</p>
<p>All labels are saved. If the studio was stopped, start it again with <code>pupil studio FOLDER</code>.</p>
`;
const strangersPolicy = `default-src 'none'; style-src 'sha256-${createHash('sha256')
  .update(strangersStyle)
  .digest('base64')}'`;

/** Refuses who does not come by the address: a page in words for a person, JSON for a program. */
function refuseStranger(context: Context): Response {
  const { method } = context.req,
    takes = context.req.header('accept') ?? '';
  if (method !== 'GET' || !takes.includes('text/html'))
    return context.json(failure('forbidden', 'open the studio by the address that pupil printed'), 403);
  context.header('Content-Security-Policy', strangersPolicy);
  return context.html(strangersPage, 403);
}

const isSame = (given: string | undefined, wanted: string): boolean =>
  given !== undefined && given.length === wanted.length && timingSafeEqual(Buffer.from(given), Buffer.from(wanted));

const secret = (): string => randomBytes(32).toString('base64url');

/** Makes the secrets of one server, and the middleware that asks for them. */
export function createDoor({ port, rate = 300, burst = 3000 }: DoorOptions): Door {
  const token = secret(),
    session = secret();
  const allow = limiter(rate, burst),
    allowStranger = limiter(20, 200);
  const guard: MiddlewareHandler = async (context, next) => {
    for (const [name, value] of Object.entries(headers)) context.header(name, value);
    const { method, path } = context.req;
    const ask = (name: string): string | undefined => context.req.header(name);
    const host = ask('host') ?? '';
    const isKnown = isSame(getCookie(context, cookieName(port())), session);
    if (!(isKnown ? allow : allowStranger)())
      return context.json(failure('busy', 'too many requests; wait a second'), 429, { 'Retry-After': '1' });
    if (host !== `127.0.0.1:${port()}` && host !== `localhost:${port()}`) return refuseStranger(context);
    if (method !== 'GET' && method !== 'HEAD' && method !== 'POST')
      return context.json(failure('usage', 'only GET and POST are answered'), 405);
    const origin = ask('origin');
    if (origin === undefined ? method === 'POST' : origin !== `http://${host}`)
      return context.json(failure('forbidden', 'the request comes from another site'), 403);
    if (path === '/' && isSame(context.req.query('token'), token)) {
      setCookie(context, cookieName(port()), session, {
        httpOnly: true,
        sameSite: 'Strict',
        path: '/',
      });
      return context.redirect('/', 303);
    }
    const site = ask('sec-fetch-site');
    if (site !== undefined && site !== 'same-origin' && site !== 'none')
      return context.json(failure('forbidden', 'the request comes from another site'), 403);
    if (!isKnown) return refuseStranger(context);
    if (method !== 'POST') return next();
    return checkBody(context, next);
  };
  return { token, guard };
}

/** Refuses a body that is too large or of another kind. */
const checkBody: MiddlewareHandler = async (context, next) => {
  const ask = (name: string): string | undefined => context.req.header(name);
  const isPicture = /^\/api\/(add|runs\/[^/]+\/predict)$/.test(context.req.path);
  const type = (ask('content-type') ?? '').split(';')[0]!.trim().toLowerCase();
  const isExpected = isPicture ? type === 'application/octet-stream' || type.startsWith('image/') : isJson(type, ask);
  if (!isExpected) return context.json(failure('usage', 'the body is of another kind than expected'), 415);
  return (isPicture ? limits.picture : limits.json)(context, next);
};

/** A request to stop a run has no body. */
const isJson = (type: string, ask: (name: string) => string | undefined): boolean =>
  type === 'application/json' || (type === '' && (ask('content-length') ?? '0') === '0');

/** Cookies are shared by all ports of a host. */
const cookieName = (port: number): string => `pupil-studio-${port}`;

const tooLarge = (context: Context): Response => context.json(failure('usage', 'the body is too large'), 413);

const limits = {
  json: limitBody(bodyLimits.json, tooLarge),
  picture: limitBody(bodyLimits.picture, tooLarge),
};

/** Says whether one more may pass: `rate` a second for long, `burst` at once (token bucket). */
function limiter(rate: number, burst: number): () => boolean {
  let left = burst,
    last = performance.now();
  return () => {
    const now = performance.now();
    left = Math.min(burst, left + ((now - last) / 1000) * rate);
    last = now;
    if (left < 1) return false;
    left--;
    return true;
  };
}
