import { listOf } from '../../../graph/attributes.js';
import type { Node } from '../../../graph/graph.js';
import type { Tensor } from '../../../tensor.js';
import { argument, binary } from '../library/dnnl.js';
import type { Emitter } from '../emitter.js';

/**
 * Cast, Transpose to channels first, times and plus a number per channel: the nodes after the Cast,
 * and the numbers.
 */
export function findPixels(
  e: Emitter,
  cast: Node,
): { nodes: readonly [Node, Node, Node]; factors: Float32Array; terms: Float32Array } | undefined {
  if (cast.op !== 'Cast') return undefined;
  const { dtype, shape } = e.value(cast.inputs[0]!);
  if (dtype !== 'uint8' || shape.length !== 4 || e.value(cast.outputs[0]!).dtype !== 'float32') return undefined;
  const channels = shape[3]!,
    planes = only(e, cast);
  if (channels === 1) return undefined; // plain numbers are any group's
  if (planes?.op !== 'Transpose' || listOf(planes.attributes, 'perm')?.join() !== '0,3,1,2') return undefined;
  const scale = only(e, planes),
    shift = scale && only(e, scale);
  const factors = scale?.op === 'Mul' ? perChannel(e, scale.inputs[1]!, channels) : undefined;
  const terms = shift?.op === 'Add' ? perChannel(e, shift.inputs[1]!, channels) : undefined;
  if (
    !scale ||
    !shift ||
    !factors ||
    !terms ||
    scale.inputs[0] !== planes.outputs[0] ||
    shift.inputs[0] !== scale.outputs[0]
  )
    return undefined;
  return { nodes: [planes, scale, shift], factors, terms };
}

/**
 * Pixels to planes in two calls of the library: bytes to float32 in the other order, then times and
 * plus a number per channel.
 */
export function lowerPixels(e: Emitter, cast: Node): boolean {
  const found = findPixels(e, cast);
  if (!found) return false;
  const { nodes, factors, terms } = found,
    shift = nodes[2],
    x = cast.inputs[0]!,
    [images, height, width, channels] = e.value(x).shape as [number, number, number, number];
  const dims = [images, channels, height, width],
    planes = e.dnnl.plain(dims),
    each = e.dnnl.plain([1, channels, 1, 1]);
  const bytes = e.dnnl.strided(dims, [height * width * channels, 1, width * channels, channels], 'u8');
  const spread = e.dnnl.reorder(bytes, planes),
    scale = e.dnnl.binary(binary.multiply, planes, each, planes, [
      { kind: 'binary', algorithm: binary.add, other: each },
    ]);
  if (!spread || !scale) return false;
  const from = e.view(e.plain(x), bytes),
    middle = e.scratch(planes),
    to = e.result(shift.outputs[0]!);
  e.call(spread, {
    name: shift.name,
    kind: 'pixels to planes',
    reads: [[argument.source, from]],
    writes: [[argument.output, middle]],
  });
  e.call(scale, {
    name: shift.name,
    kind: 'normalise pixels',
    reads: [
      [argument.source, middle],
      [argument.source1, e.fixed(factors, [1, channels, 1, 1])],
      [e.dnnl.postOpArgument(0), e.fixed(terms, [1, channels, 1, 1])],
    ],
    writes: [[argument.output, to]],
    inPlace: [[to, middle]],
  });
  for (const node of nodes) e.done(node);
  return true;
}

/** The node that alone reads a node's result. */
function only(e: Emitter, node: Node): Node | undefined {
  const name = node.outputs[0]!,
    [reader] = e.readers(name);
  return e.uses(name) === 1 ? reader : undefined;
}

/** A number for each channel of [N, C, H, W]. */
function perChannel(e: Emitter, name: string, channels: number): Float32Array | undefined {
  const constant: Tensor | undefined = e.constant(name);
  if (constant?.dtype !== 'float32') return undefined;
  return constant.dims.slice(-3).join() === [channels, 1, 1].join() && constant.data.length === channels
    ? (constant.data as Float32Array)
    : undefined;
}
