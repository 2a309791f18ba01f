import { broadcastStrides, offsets } from '../../../graph/evaluate/dense.js';
import type { Binary, Unary } from '../../../graph/evaluate/functions.js';
import type { Node } from '../../../graph/graph.js';
import { sizeOf } from '../../../tensor.js';
import type { Emitter } from '../emitter.js';
import type { Place } from '../memory/places.js';

/** Loops in TypeScript, for short vectors and what the library does not do. */

const data = (place: Place): Float32Array => place.data as Float32Array;

/**
 * For every element of the result, where an operand's is; undefined for one of the same shape, a
 * number for a single element.
 */
function indicesOf(e: Emitter, name: string, shape: readonly number[]): Int32Array | 'one' | undefined {
  const own = e.value(name).shape;
  if (own.join() === shape.join()) return undefined;
  if (sizeOf(own) === 1) return 'one';
  return offsets(shape, broadcastStrides(own, shape));
}

/** y = f(x), element by element. */
export function loopOver(e: Emitter, node: Node, f: Unary): boolean {
  const from = e.plain(node.inputs[0]!),
    to = e.result(node.outputs[0]!);
  e.step({
    name: node.name,
    kind: `${node.op} loop`,
    reads: [from],
    writes: [to],
    inPlace: [[to, from]],
    run: () => {
      const a = data(from),
        out = data(to);
      for (let i = 0; i < out.length; i++) out[i] = f(a[i]!);
    },
  });
  return true;
}

/** y = f(a, b), element by element, either broadcast. */
export function loopOverBoth(e: Emitter, node: Node, f: Binary): boolean {
  const [first, second] = node.inputs as [string, string],
    output = node.outputs[0]!,
    { shape } = e.value(output);
  const left = e.plain(first),
    right = e.plain(second),
    to = e.result(output);
  const [at, bt] = [indicesOf(e, first, shape), indicesOf(e, second, shape)];
  const inPlace = [
    ...(at === undefined ? [[to, left] as const] : []),
    ...(bt === undefined ? [[to, right] as const] : []),
  ];
  e.step({
    name: node.name,
    kind: `${node.op} loop`,
    reads: [left, right],
    writes: [to],
    inPlace,
    run: () => {
      const a = data(left),
        b = data(right),
        out = data(to);
      if (at === undefined && bt === undefined) for (let i = 0; i < out.length; i++) out[i] = f(a[i]!, b[i]!);
      else if (at === undefined && bt === 'one') for (let i = 0, y = b[0]!; i < out.length; i++) out[i] = f(a[i]!, y);
      else if (at === 'one' && bt === undefined) for (let i = 0, x = a[0]!; i < out.length; i++) out[i] = f(x, b[i]!);
      else {
        for (let i = 0; i < out.length; i++) {
          out[i] = f(
            a[at === undefined ? i : at === 'one' ? 0 : at[i]!]!,
            b[bt === undefined ? i : bt === 'one' ? 0 : bt[i]!]!,
          );
        }
      }
    },
  });
  return true;
}
