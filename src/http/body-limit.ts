/** How much a request may bring. */
import type { Context, MiddlewareHandler } from 'hono';

/**
 * Answers with `refuse` where a body has more than `most` bytes. One that says its length is not read for that;
 * one that does not (chunked) is, up to so many. (`hono/body-limit` hands the latter on as a request that the
 * adaptor for Node makes and Node's own `Request` does not take.)
 */
export const limitBody =
  (most: number, refuse: (context: Context) => Response): MiddlewareHandler =>
  async (context, next) => {
    const { raw, url } = context.req;
    const { headers, method, body } = raw;
    if (body === null) return next();
    if (headers.has('content-length') && !headers.has('transfer-encoding'))
      return Number(headers.get('content-length')) > most ? refuse(context) : next();
    const pieces: Uint8Array[] = [];
    let size = 0;
    for await (const piece of body) {
      size += piece.length;
      if (size > most) return refuse(context);
      pieces.push(piece);
    }
    context.req.raw = new globalThis.Request(url, { method, headers, body: Buffer.concat(pieces) });
    return next();
  };
