import { activationGradients, activations, type ActivationMath } from '../activations.js';
import type { GraphBuilder, Operand } from '../builder.js';
import type { Attributes, Graph, Value } from '../graph.js';
import { rewrite } from './rewrite.js';

/**
 * The graph with whole activations and their gradients written in ops of opset 17. What an
 * activation and its gradient have in common is computed once.
 */
export function expandActivations(graph: Graph): Graph {
  const forwardOf = new Map([...activationGradients].map(([op, gradient]) => [gradient, op]));
  if (!graph.nodes.some(({ op }) => op in activations || forwardOf.has(op))) return graph;
  const made = new Map<string, Value>();
  return rewrite(graph, {
    node({ name, op, attributes }, inputs, builder) {
      const forward = activations[op],
        backward = activations[forwardOf.get(op) ?? ''];
      if (!forward && !backward) return undefined;
      const m = sharing(builder, made),
        [a, b] = inputs as [Value, Value];
      return builder.scope(name, () => [
        forward ? forward.value(m, a, attributes) : backward!.gradient(m, a, b, attributes),
      ]);
    },
  });
}

/** Nodes of a graph, each op on the same operands once. */
function sharing(builder: GraphBuilder, made: Map<string, Value>): ActivationMath<Value> {
  const call = (op: string, operands: readonly Operand[], attributes: Attributes = {}): Value => {
    const key = JSON.stringify([op, ...operands.map((x) => (typeof x === 'number' ? x : x.name))]),
      value = made.get(key) ?? builder.op(op, operands, attributes);
    made.set(key, value);
    return value;
  };
  const unary =
    (op: string) =>
    (x: Value): Value =>
      call(op, [x]);
  const binary =
    (op: string) =>
    (a: Operand, b: Operand): Value =>
      call(op, [a, b]);
  return {
    add: binary('Add'),
    sub: binary('Sub'),
    mul: binary('Mul'),
    div: binary('Div'),
    neg: unary('Neg'),
    sqrt: unary('Sqrt'),
    exp: unary('Exp'),
    clipGradient: (dy, y) => call('ClipGrad', [dy, y], { low: 0, high: 1 }),
    erf: unary('Erf'),
    hardSigmoid: (x) => call('HardSigmoid', [x], { alpha: 1 / 6, beta: 0.5 }),
    sigmoid: unary('Sigmoid'),
    softplus: unary('Softplus'),
    tanh: unary('Tanh'),
  };
}
