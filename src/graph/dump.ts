import { numbersOf, type Tensor } from '../tensor.js';
import { formatShape, type Attribute, type Graph, type Node } from './graph.js';

const shown = 8;

const formatTensor = (t: Tensor): string => {
  const values =
    t.data.length <= shown
      ? ` {${numbersOf(t)
          .map((x) => (Number.isInteger(x) ? x : Number(x.toPrecision(6))))
          .join(', ')}}`
      : '';
  return `${t.dtype} ${formatShape(t.dims)}${values}`;
};

const formatAttribute = (value: Attribute): string =>
  typeof value === 'object' && 'dtype' in value ? formatTensor(value) : JSON.stringify(value);

const formatNode = (graph: Graph, node: Node): string => {
  const outputs = node.outputs.map((name) => {
    const value = graph.values.get(name);
    return value ? `${name}: ${value.dtype} ${formatShape(value.shape)}` : '_';
  });
  const inputs = node.inputs.map((name) => (name === '' ? '_' : name)).join(', ');
  const attributes = Object.entries(node.attributes)
    .map(([name, value]) => ` ${name}=${formatAttribute(value)}`)
    .join('');
  return (
    `${outputs.join(', ')} = ${node.domain === '' ? '' : `${node.domain}.`}${node.op}(${inputs})${attributes}  ` +
    `# ${node.name}`
  );
};

/**
 * The graph as text, one line a value: inputs, constants (small ones with their elements), nodes in
 * running order, outputs.
 */
export function dump(graph: Graph): string {
  return [
    `graph ${graph.name}`,
    ...graph.inputs.map(({ name, dtype, shape }) => `  input ${name}: ${dtype} ${formatShape(shape)}`),
    ...[...graph.constants].map(([name, t]) => `  constant ${name}: ${formatTensor(t)}`),
    ...graph.nodes.map((node) => `  ${formatNode(graph, node)}`),
    `  return ${graph.outputs.join(', ')}`,
    '',
  ].join('\n');
}
