import { invariant, PupilError } from '../errors.js';
import { float32, sizeOf, tensor } from '../tensor.js';
import type { GraphBuilder } from './builder.js';
import { isFloat } from './evaluate/dense.js';
import { formatShape, staticDims, type Node, type Value } from './graph.js';
import { sumTo } from './gradients/common.js';
import { gradients, reasons } from './gradients/table.js';
import type { GradientContext, GradientRule } from './gradients.js';

/**
 * Whether a model can be trained through an op: by its gradient, without one (`'none'`), or not at
 * all, and why.
 */
export function trainableThrough(
  op: string,
): { readonly kind: 'gradient' | 'none' } | { readonly kind: 'unsupported'; readonly reason: string } {
  const entry = gradients.get(op);
  if (entry === undefined) return { kind: 'unsupported', reason: reasons.get(op) ?? 'it has no gradient rule' };
  return { kind: entry === 'none' ? 'none' : 'gradient' };
}

/**
 * Reverse-mode differentiation: adds to `builder` the nodes that compute the gradient of `loss`
 * (one element) with respect to each of `wrt`, and returns their values, undefined where the loss
 * does not depend on it. Nothing is built off the paths from `wrt` to `loss`; values in `constants`
 * count as constant (a target that the network makes itself). Throws `unsupported` with the node's
 * name for an op without a rule on such a path.
 */
export function differentiate(
  builder: GraphBuilder,
  loss: Value,
  wrt: readonly Value[],
  constants: readonly Value[] = [],
): (Value | undefined)[] {
  invariant(
    staticDims(loss.shape) && sizeOf(staticDims(loss.shape)!) === 1,
    `differentiate: the loss must be one number, it is ${formatShape(loss.shape)}`,
  );
  const nodes = [...builder.nodes];
  const active = dependents(builder, nodes, wrt, new Set(constants.map(({ name }) => name)));
  const found = new Map<string, Value>();
  const add = (name: string, gradient: Value): void => {
    const other = found.get(name);
    found.set(name, other ? builder.op('Add', [other, gradient]) : gradient);
  };
  const dims = staticDims(loss.shape)!;
  const one = loss.dtype === 'float64' ? tensor('float64', dims, Float64Array.of(1)) : float32(dims, [1]);
  if (active.has(loss.name)) add(loss.name, builder.constant(one));
  for (const node of nodes.reverse()) {
    const outputGradients = node.outputs.map((name) => (name !== '' && active.has(name) ? found.get(name) : undefined));
    if (!outputGradients.some(Boolean) || !node.inputs.some((name) => active.has(name))) continue;
    builder.scope(`gradient/${node.name}`, () => {
      const context = contextOf(builder, node, outputGradients, active);
      inputGradients(context).forEach((gradient, index) => {
        const input = context.inputs[index];
        if (gradient === undefined || gradient === 'zero' || !input || !active.has(input.name)) return;
        add(input.name, sumTo(builder, gradient, input.shape));
      });
    });
  }
  return wrt.map((value) => found.get(value.name));
}

/**
 * Names of the values that depend on one of `wrt` through ops that carry a gradient, and through
 * none of `constants`.
 */
function dependents(
  builder: GraphBuilder,
  nodes: readonly Node[],
  wrt: readonly Value[],
  constants: ReadonlySet<string>,
): Set<string> {
  const active = new Set(wrt.map((value) => value.name));
  for (const node of nodes) {
    if (gradients.get(node.op) === 'none' || !node.inputs.some((name) => active.has(name))) continue;
    for (const name of node.outputs)
      if (name !== '' && !constants.has(name) && isFloat(builder.value(name).dtype)) active.add(name);
  }
  return active;
}

function contextOf(
  builder: GraphBuilder,
  node: Node,
  outputGradients: readonly (Value | undefined)[],
  active: ReadonlySet<string>,
): GradientContext {
  return {
    builder,
    node,
    attributes: node.attributes,
    outputGradients,
    inputs: node.inputs.map((name) => (name === '' ? undefined : builder.value(name))),
    outputs: node.outputs.filter((name) => name !== '').map((name) => builder.value(name)),
    needs: (index) => active.has(node.inputs[index] ?? ''),
  };
}

function inputGradients(context: GradientContext): ReturnType<GradientRule> {
  const { node } = context;
  const rule = gradients.get(node.op);
  invariant(rule !== 'none', `${node.name}: a gradient reached ${node.op}, which carries none`);
  if (!rule) {
    const reason = reasons.get(node.op);
    throw new PupilError(
      'unsupported',
      `${node.name}: no gradient for ${node.op}${reason ? ` (${reason})` : ''}; freeze this block with \`freeze\``,
    );
  }
  return rule(context);
}
