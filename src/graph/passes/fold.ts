import { arrayType, int64, tensor, type Tensor } from '../../tensor.js';
import { evaluateNode, canEvaluate } from '../evaluate.js';
import type { GraphBuilder } from '../builder.js';
import type { Attributes, Dim, Graph, Node, Value } from '../graph.js';
import type { Integers } from '../inference/integers.js';
import { isAffordable, noteFolded } from './fold-budget.js';
import { copyNode, rewrite } from './rewrite.js';
import { prune } from './prune.js';

const random: ReadonlySet<string> = new Set([
  'Bernoulli',
  'Dropout',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
]);

/**
 * Computes what does not depend on the inputs, and what depends only on their sizes: shape
 * arithmetic becomes constants, with
 * -1 or 0 in a Reshape's target where a size has only a name, so that it stays dynamic.
 */
export function foldConstants(graph: Graph): Graph {
  return prune(rewrite(graph, { node: (node, inputs, builder) => foldNode(node, inputs, builder) }));
}

/**
 * The constants that a node's outputs are, or undefined when it has to be computed; the node may be
 * added with simpler operands.
 */
export function foldNode(
  node: Node,
  inputs: readonly (Value | undefined)[],
  builder: GraphBuilder,
): Value[] | undefined {
  return (
    foldComputed(node, inputs, builder) ?? foldSizes(node, inputs, builder) ?? simplifyTarget(node, inputs, builder)
  );
}

function foldComputed(node: Node, inputs: readonly (Value | undefined)[], builder: GraphBuilder): Value[] | undefined {
  if (inputs.length === 0 || random.has(node.op) || !canEvaluate(node.op)) return undefined;
  if (inputs.some((input, i) => !builder.constantOf(input) && (input || node.inputs[i] !== ''))) return undefined;
  if (!isAffordable(node, inputs, builder)) return undefined;
  const outputs = evaluateNode(
    node,
    inputs.map((input) => builder.constantOf(input)),
  );
  return outputs.map((t, i) => {
    const constant = builder.constant(t, node.outputs[i] || `${node.name}:unused${i}`);
    noteFolded(constant, builder);
    return constant;
  });
}

const numeric = (integers: Integers | undefined): integers is Integers & { readonly elements: readonly number[] } =>
  integers !== undefined && integers.elements.every((element) => typeof element === 'number');

/**
 * A node whose output follows from sizes that are numbers (Shape of a fixed image, say) becomes a
 * constant.
 */
function foldSizes(node: Node, inputs: readonly (Value | undefined)[], builder: GraphBuilder): Value[] | undefined {
  if (!sizeOps.has(node.op) || node.outputs.length !== 1) return undefined;
  const outputs = copyNode(node, inputs, builder);
  const output = outputs[0]!;
  const elements = builder.integersOf(output);
  if (!numeric(elements) || elements.dims.length !== output.shape.length) return outputs;
  const value = asTensor(output.dtype, elements);
  // The node itself stays behind unread, and is pruned.
  return value ? [builder.constant(value, free(builder, `${output.name}:folded`))] : outputs;
}

const sizeOps: ReadonlySet<string> = new Set([
  'Shape',
  'Size',
  'Gather',
  'Slice',
  'Concat',
  'Unsqueeze',
  'Squeeze',
  'Cast',
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Mod',
  'Floor',
  'Ceil',
  'Neg',
  'Equal',
  'Where',
  'ConstantOfShape',
  'Range',
  'ReduceProd',
  'Min',
  'Max',
  'Identity',
  'Expand',
]);

function asTensor(
  dtype: Tensor['dtype'],
  { dims, elements }: Integers & { readonly elements: readonly number[] },
): Tensor | undefined {
  if (dtype === 'int64') return elements.every(Number.isSafeInteger) ? int64(dims, elements) : undefined;
  if (dtype === 'float32' || dtype === 'int32' || dtype === 'bool' || dtype === 'float64') {
    return tensor(dtype, dims, (arrayType(dtype) as Float64ArrayConstructor).from(elements));
  }
  return undefined;
}

function free(builder: GraphBuilder, name: string): string {
  let candidate = name;
  for (let i = 1; builder.has(candidate); i++) candidate = `${name}_${i}`;
  return candidate;
}

/** What a Slice means by "to the end". */
const toTheEnd = 2 ** 31 - 1;

/**
 * The operand of Reshape, Expand and Slice that is computed from sizes becomes a constant where the
 * op has a way to say it: Reshape copies a size with 0 and finds one with -1; Expand keeps a size
 * that it is given 1 for; Slice goes to the end.
 */
function simplifyTarget(
  node: Node,
  inputs: readonly (Value | undefined)[],
  builder: GraphBuilder,
): Value[] | undefined {
  const [x] = inputs;
  if (!x) return undefined;
  const at = (index: number): readonly Dim[] | undefined => {
    const value = inputs[index];
    return value && !builder.constantOf(value) ? builder.integersOf(value)?.elements : undefined;
  };
  const withInput = (
    index: number,
    elements: readonly number[] | undefined,
    attributes = node.attributes,
  ): Value[] | undefined => {
    if (!elements) return undefined;
    const changed = [...inputs];
    changed[index] = builder.ints(elements);
    return copyNode(node, changed, builder, attributes);
  };
  if (node.op === 'Reshape') {
    const target = at(1);
    // With allowzero a size of 0 means 0, which no name stands for.
    if (!target || (node.attributes.allowzero === 1 && target.includes(0))) return undefined;
    return withInput(1, reshapeTarget(target, x), withoutAllowZero(node.attributes));
  }
  if (node.op === 'Expand') {
    const target = at(1);
    if (!target) return undefined;
    const elements = target.map((dim, i) =>
      typeof dim === 'number' ? dim : dim === x.shape[i - target.length + x.shape.length] ? 1 : undefined,
    );
    return withInput(1, elements.includes(undefined) ? undefined : (elements as number[]));
  }
  if (node.op === 'Slice') {
    const ends = at(2);
    const axes = inputs[3] ? builder.integersOf(inputs[3])?.elements : ends?.map((_, i) => i);
    if (!ends || !axes) return undefined;
    const elements = ends.map((end, i) => {
      if (typeof end === 'number') return end;
      const axis = axes[i] as number;
      return end === x.shape[axis < 0 ? axis + x.shape.length : axis] ? toTheEnd : undefined;
    });
    return withInput(2, elements.includes(undefined) ? undefined : (elements as number[]));
  }
  return undefined;
}

const withoutAllowZero = ({ allowzero: _, ...rest }: Attributes): Attributes => rest;

/**
 * Numbers for a Reshape's target: names equal to the same axis of the input are 0, one other name
 * is -1.
 */
export function reshapeTarget(target: readonly Dim[], x: Value): number[] | undefined {
  const result: number[] = [];
  for (const [i, dim] of target.entries()) {
    if (typeof dim === 'number') result.push(dim);
    else if (dim === x.shape[i]) result.push(0);
    else if (!result.includes(-1) && !target.includes(-1)) result.push(-1);
    else return undefined;
  }
  return result;
}
