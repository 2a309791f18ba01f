import { isSized } from '../sized.js';
import type { Lowering, LoweringContext } from '../lowering.js';

/**
 * dy, x and s of a product's gradient, if `direct` + `through` is one: dy s + (dy x) (s - s s) with
 * s = Sigmoid(x).
 */
function parts(
  { producer }: LoweringContext,
  direct: string,
  through: string,
): { dy: string; x: string; s: string } | undefined {
  const scaled = producer(through);
  const slope = scaled?.op === 'Mul' ? producer(scaled.inputs[1]!) : undefined;
  const s = slope?.op === 'Sub' ? slope.inputs[0]! : undefined;
  const square = slope && producer(slope.inputs[1]!);
  if (s === undefined || square?.op !== 'Mul' || square.inputs.some((name) => name !== s)) return undefined;
  const sigmoid = producer(s);
  if (sigmoid?.op !== 'Sigmoid') return undefined;
  const x = sigmoid.inputs[0]!;
  const other = (name: string, factor: string): string | undefined => {
    const node = producer(name);
    if (node?.op !== 'Mul' || !node.inputs.includes(factor)) return undefined;
    return node.inputs[node.inputs[0] === factor ? 1 : 0];
  };
  const dy = other(direct, s);
  return dy !== undefined && dy === other(scaled!.inputs[0]!, x) ? { dy, x, s } : undefined;
}

/**
 * The gradient of y = x s, s = Sigmoid(x) (SiLU, swish): dx = dy s + dy x s (1 - s) = g + g (x - y)
 * with g = dy s, four passes over the image in place of six.
 */
const gradient: Lowering = (context) => {
  const { e, node, outputs, product, hasBlocked, take } = context;
  const [a, b] = node.inputs as [string, string];
  const found = parts(context, a, b) ?? parts(context, b, a);
  const y = found && product(found.x, found.s);
  if (!y || outputs[0]!.dtype !== 'float32' || !isSized(outputs[0]!)) return undefined;
  const isBlocked = hasBlocked(found.x) || hasBlocked(found.dy);
  const [dy, x, s, image] = [found.dy, found.x, found.s, y].map((name) => take(name, isBlocked)) as [
    Taken,
    Taken,
    Taken,
    Taken,
  ];
  const g = e.mul(dy, s);
  const dx = e.add(g, e.mul(g, e.sub(x, image)));
  return [isBlocked ? { blocked: dx } : dx];
};

type Taken = ReturnType<LoweringContext['take']>;

export const swish: Readonly<Record<string, Lowering>> = { Add: gradient };
