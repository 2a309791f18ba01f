import { numberOf } from '../../../graph/attributes.js';
import type { Node } from '../../../graph/graph.js';
import type { Emitter } from '../emitter.js';
import { argument, eltwise, type PostOp } from '../library/dnnl.js';
import { haveSameShape } from './lowering.js';

/** Bounds of the Clip (or Relu) that made a value. */
export function boundsOf(e: Emitter, name: string): { low: number; high: number } | undefined {
  const node = e.producer(name);
  if (node?.op === 'Relu') return { low: 0, high: Infinity };
  if (node?.op !== 'Clip') return undefined;
  const bound = (index: number, otherwise: number): number | undefined =>
    node.inputs[index] ? e.scalar(node.inputs[index]) : otherwise;
  const [low, high] = [bound(1, -Infinity), bound(2, Infinity)];
  return low === undefined || high === undefined ? undefined : { low, high };
}

/** What a ClipGrad reads, and its bounds. */
export const clipGradOf = (
  node: Node,
): { readonly dy: string; readonly y: string; readonly low: number; readonly high: number } => ({
  dy: node.inputs[0]!,
  y: node.inputs[1]!,
  low: numberOf(node.attributes, 'low', -Infinity),
  high: numberOf(node.attributes, 'high', Infinity),
});

/** dx of a ClipGrad as the library's gradient of Relu or Clip, from the result. */
export function callClipGrad(e: Emitter, node: Node): boolean {
  const { dy, y, low, high } = clipGradOf(node);
  const isRelu = low === 0 && high === Infinity;
  if (!haveSameShape(e, dy, y) || !(isRelu || (Number.isFinite(low) && Number.isFinite(high)))) return false;
  const layout = e.layoutOf(y) ?? e.held(y).layout;
  const operation =
    layout &&
    e.dnnl.eltwiseGradient(
      isRelu ? eltwise.reluOfResult : eltwise.clipOfResult,
      layout,
      layout,
      isRelu ? 0 : low,
      isRelu ? 0 : high,
    );
  if (!operation) return false;
  const gradient = e.as(dy, layout),
    result = e.as(y, layout),
    to = e.result(node.outputs[0]!, layout);
  e.call(operation, {
    name: node.name,
    kind: isRelu ? 'gradient of Relu' : 'gradient of Clip',
    reads: [
      [argument.outputGradient, gradient],
      [argument.output, result],
    ],
    writes: [[argument.sourceGradient, to]],
    inPlace: [[to, gradient]],
  });
  return true;
}

/** The Relu or Clip that alone reads a sum, as a step on the sum before it is written. */
export function clippedBehind(e: Emitter, node: Node): { readonly clip: Node; readonly postOp: PostOp } | undefined {
  const sum = node.outputs[0]!,
    [clip] = e.readers(sum);
  const postOp = clip && e.uses(sum) === 1 && !e.grouped.has(clip) ? clippedBy(e, clip) : undefined;
  return clip && postOp ? { clip, postOp } : undefined;
}

/**
 * A Relu or a Clip that keeps zeros as a step on a result before it is written: the padding of
 * layouts stays zero.
 */
export function clippedBy(e: Emitter, clip: Node): PostOp | undefined {
  const bounds = boundsOf(e, clip.outputs[0]!);
  if (!bounds || bounds.low > 0 || bounds.high < 0) return undefined;
  if (bounds.low === 0 && bounds.high === Infinity)
    return { kind: 'eltwise', algorithm: eltwise.relu, alpha: 0, beta: 0 };
  if (!Number.isFinite(bounds.low) || !Number.isFinite(bounds.high)) return undefined;
  return { kind: 'eltwise', algorithm: eltwise.clip, alpha: bounds.low, beta: bounds.high };
}
