import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GraphBuilder } from '../../graph/builder.js';
import { differentiate } from '../../graph/autodiff.js';
import { float32 } from '../../tensor.js';
import { createReferenceEngine } from './index.js';

test('state is read, replaced by each run, and not returned', async () => {
  const builder = new GraphBuilder('descent'),
    w = builder.input('w', 'float32', [2]),
    target = builder.input('target', 'float32', [2]);
  const error = builder.op('Sub', [w, target]);
  const loss = builder.op('ReduceSum', [builder.op('Mul', [error, error])], { keepdims: 0 });
  const next = builder.op('Sub', [w, builder.op('Mul', [differentiate(builder, loss, [w])[0]!, 0.25])]);
  builder.outputs({ loss, next });
  const engine = createReferenceEngine();
  const program = await engine.compile(builder.build(), { state: { w: 'next' } });
  await assert.rejects(program.run({ target: float32([2], [1, 2]) }), /the state has no entry "w"/);
  await engine.write(new Map([['w', float32([2], [5, -6])]]));
  const losses: number[] = [];
  for (let step = 0; step < 3; step++) {
    const outputs = await program.run({ target: float32([2], [1, 2]) });
    assert.deepEqual(Object.keys(outputs), ['loss']);
    losses.push(Number(outputs.loss!.data[0]));
  }
  assert.deepEqual(losses, [80, 20, 5]);
  assert.deepEqual([...(await engine.read(['w'])).get('w')!.data], [1.5, 1]);
  await engine.remove(['w']);
  await assert.rejects(engine.read(['w']), /no entry "w"/);
});

test('an impossible state is refused', async () => {
  const builder = new GraphBuilder('g'),
    x = builder.input('x', 'float32', [1]);
  builder.outputs({ y: builder.op('Neg', [x]) });
  const engine = createReferenceEngine(),
    graph = builder.build();
  await assert.rejects(engine.compile(graph, { state: { z: null } }), /state "z" is no input/);
  await assert.rejects(engine.compile(graph, { state: { x: 'w' } }), /"w", the next x, is no output/);
});
