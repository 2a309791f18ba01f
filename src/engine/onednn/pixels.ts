import type { Node } from '../../graph/graph.js';
import type { Tensor } from '../../tensor.js';
import type { Emitter } from './emit.js';

/** Cast, Transpose to channels first, times and plus a number per channel: the nodes after the Cast, and the numbers. */
export function findPixels(e: Emitter, cast: Node): { nodes: readonly [Node, Node, Node]; factors: Float32Array; terms: Float32Array } | undefined {
  if (cast.op !== 'Cast') return undefined;
  const { dtype, shape } = e.value(cast.inputs[0]!);
  if (dtype !== 'uint8' || shape.length !== 4 || e.value(cast.outputs[0]!).dtype !== 'float32') return undefined;
  const channels = shape[3]!, planes = only(e, cast);
  if (channels === 1) return undefined; // plain numbers are any group's
  if (planes?.op !== 'Transpose' || (planes.attributes['perm'] as readonly number[] | undefined)?.join() !== '0,3,1,2') return undefined;
  const scale = only(e, planes), shift = scale && only(e, scale);
  const factors = scale?.op === 'Mul' ? perChannel(e, scale.inputs[1]!, channels) : undefined;
  const terms = shift?.op === 'Add' ? perChannel(e, shift.inputs[1]!, channels) : undefined;
  if (!scale || !shift || !factors || !terms || scale.inputs[0] !== planes.outputs[0] || shift.inputs[0] !== scale.outputs[0]) return undefined;
  return { nodes: [planes, scale, shift], factors, terms };
}

/** Pixels to planes: a byte has 256 values, so that each channel is a table. */
export function lowerPixels(e: Emitter, cast: Node): boolean {
  const found = findPixels(e, cast);
  if (!found) return false;
  const { nodes, factors, terms } = found, shift = nodes[2], x = cast.inputs[0]!, { shape } = e.value(x), channels = shape[3]!;
  const tables = Float32Array.from({ length: channels * 256 }, (_, i) => Math.fround(Math.fround((i % 256) * factors[i >> 8]!) + terms[i >> 8]!));
  const from = e.plain(x), to = e.result(shift.outputs[0]!), images = shape[0]!, pixels = shape[1]! * shape[2]!;
  e.step({
    name: shift.name, kind: 'pixels to planes', reads: [from], writes: [to],
    run: () => {
      const bytes = from.data as Uint8Array, out = to.data as Float32Array;
      for (let image = 0; image < images; image++) {
        for (let channel = 0; channel < channels; channel++) {
          const table = tables.subarray(channel * 256, channel * 256 + 256), first = (image * channels + channel) * pixels;
          for (let i = 0, at = image * pixels * channels + channel; i < pixels; i++, at += channels) out[first + i] = table[bytes[at]!]!;
        }
      }
    },
  });
  for (const node of nodes) e.done(node);
  return true;
}

/** The node that alone reads a node's result. */
function only(e: Emitter, node: Node): Node | undefined {
  const name = node.outputs[0]!, [reader] = e.readers(name);
  return e.uses(name) === 1 ? reader : undefined;
}

/** A number for each channel of [N, C, H, W]. */
function perChannel(e: Emitter, name: string, channels: number): Float32Array | undefined {
  const constant: Tensor | undefined = e.constant(name);
  if (constant?.dtype !== 'float32') return undefined;
  return constant.dims.slice(-3).join() === [channels, 1, 1].join() && constant.data.length === channels ? constant.data as Float32Array : undefined;
}
