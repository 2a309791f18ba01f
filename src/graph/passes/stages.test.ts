import assert from 'node:assert/strict';
import { test } from 'node:test';
import { float32 } from '../../tensor.js';
import { GraphBuilder } from '../builder.js';
import { evaluateGraph } from '../evaluate.js';
import { stagesOf } from './stages.js';

/** w' = w - mean(x + sum x) * mean(2 x) with what one stage keeps for another. */
function example(): ReturnType<GraphBuilder['build']> {
  const builder = new GraphBuilder('example'),
    x = builder.input('x', 'float32', [2]),
    w = builder.input('w', 'float32', [2]);
  const mean = (value: typeof x, name: string): typeof x => builder.op('MeanOverRanks', [value], {}, { name });
  const halved = builder.op('Mul', [w, 0.5], {}, { name: 'halved' }),
    doubled = builder.op('Mul', [x, 2], {}, { name: 'doubled' }),
    squared = builder.op('Mul', [x, x], {}, { name: 'squared' });
  const sum = mean(builder.op('ReduceSum', [doubled], { keepdims: 0 }, { name: 'sum' }), 'mean sum');
  const second = mean(builder.op('Add', [doubled, sum], {}, { name: 'shifted' }), 'mean shifted');
  const next = builder.op('Sub', [halved, builder.op('Mul', [second, squared])], {}, { name: 'next' });
  builder.outputs({ next, loss: mean(builder.op('ReduceMax', [x], { keepdims: 0 }, { name: 'most' }), 'mean most') });
  return builder.build();
}

test('a graph is cut where ranks exchange: what is independent shares an exchange, and stages give the whole', () => {
  const graph = example();
  const { stages, carried } = stagesOf(graph, { w: 'next' });
  assert.deepEqual(
    stages.map(({ exchanged }) => [...exchanged.values()]),
    [['sum', 'most'], ['shifted'], []],
  );
  assert.deepEqual(
    stages.map(({ graph: { nodes } }) => nodes.map(({ name }) => name)),
    [
      ['doubled', 'sum', 'most'],
      ['shifted', 'output loss'],
      ['halved', 'squared', 'Mul', 'next'],
    ],
    'what waits for no exchange is made where it is read',
  );
  assert.deepEqual(carried, [{ name: 'doubled@carried', dtype: 'float32', shape: [2] }]);
  assert.deepEqual(
    stages.map(({ state }) => state),
    [{ 'doubled@carried': 'doubled' }, { 'doubled@carried': null }, { w: 'next' }],
  );
  const feeds = { x: float32([2], [1, -3]), w: float32([2], [4, 6]) };
  const values: Record<string, ReturnType<typeof float32>> = { ...feeds };
  for (const name of carried) values[name.name] = float32([2], [0, 0]);
  for (const { graph: part, state, exchanged } of stages) {
    const outputs = evaluateGraph(part, values) as typeof values;
    for (const [slot, name] of Object.entries(state)) if (name !== null) values[slot] = outputs[name]!;
    for (const [mean, source] of exchanged) values[mean] = outputs[source]!;
    Object.assign(values, outputs);
  }
  for (const [name, expected] of Object.entries(evaluateGraph(graph, feeds))) assert.deepEqual(values[name], expected);
});

test('an entry of the store that a later stage reads must not be replaced before', () => {
  const builder = new GraphBuilder('early'),
    w = builder.input('w', 'float32', [1]);
  const next = builder.op('Mul', [w, 2], {}, { name: 'next' });
  const mean = builder.op('MeanOverRanks', [builder.op('Neg', [next])]);
  builder.outputs({ next, y: builder.op('Add', [mean, w]) });
  assert.throws(() => stagesOf(builder.build(), { w: 'next' }), /early: w is replaced before it is read/);
});
