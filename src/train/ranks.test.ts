import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EngineName } from '../engine/index.js';
import { ranksInMemory } from '../parallel/memory.js';
import { alone, createRanks } from '../parallel/ranks.js';
import { withoutDnnl } from '../testing/onednn.js';
import { batchSize, difference, losses, trainAs, trainTogether, type Outcome } from '../testing/ranks-in-process.js';
import { tinyModel } from '../testing/tiny-model.js';

/** Several ranks against one process that has the whole batch. */

for (const size of [2, 4])
  for (const accumulate of [1, 2]) {
    if (batchSize / accumulate / size < 1) continue;
    test(`${size} ranks train as one process does, ${accumulate} micro-batches a step`, async () => {
      const model = tinyModel({ dropout: 0.3, batchNormalization: false });
      const step = { accumulate };
      const one = await trainAs(alone, model, { step });
      const several = await trainTogether(size, (ranks) => trainAs(ranks, model, { step }));
      const start = await trainAs(alone, model, { fit: { learningRate: 1e-9 } });
      assert.ok(difference(one.state, start.state) > 1e-2, 'something was learned');
      for (const { state } of several)
        assert.ok(difference(state, one.state) < 1e-5, String(difference(state, one.state)));
      for (const { state } of several.slice(1)) assert.equal(difference(state, several[0]!.state), 0);
      losses(one).forEach((loss, i) => {
        for (const outcome of several) assert.ok(Math.abs(losses(outcome)[i]! - loss) < 1e-5);
      });
      const epochOf = ({ events }: Outcome): number | undefined =>
        events.flatMap((event) => (event.type === 'epoch' ? [event.accuracy] : []))[0];
      for (const outcome of several) assert.equal(epochOf(outcome), epochOf(one));
    });
  }

const engines: readonly (readonly [EngineName, skip: string | false])[] = [
  ['reference', false],
  ['ort', false],
  ['onednn', withoutDnnl],
];
for (const [engineName, skip] of engines)
  for (const size of [2, 4])
    test(
      `${size} ranks with BatchNormalization over all train as one process does, ${engineName}`,
      { skip },
      async () => {
        const model = tinyModel({ dropout: 0.3 });
        const options = { engineName, step: { syncBatchNormalization: true } };
        const one = await trainAs(alone, model, options);
        const several = await trainTogether(size, (ranks) => trainAs(ranks, model, options));
        for (const { state } of several)
          assert.ok(difference(state, one.state) < 1e-5, String(difference(state, one.state)));
        const apart = await trainTogether(size, (ranks) => trainAs(ranks, model, { engineName }));
        assert.ok(difference(apart[0]!.state, one.state) > 1e-3, 'each by its own statistics is something else');
      },
    );

test(
  'ranks whose engines keep the gradients in other orders exchange them all the same',
  { skip: withoutDnnl },
  async () => {
    const model = tinyModel({ batchNormalization: false });
    const one = await trainAs(alone, model, { engineName: 'onednn' });
    const several = await trainTogether(4, (ranks) =>
      trainAs(ranks, model, { engineName: ranks.rank === 1 ? 'ort' : 'onednn' }),
    );
    for (const { state } of several)
      assert.ok(difference(state, one.state) < 1e-5, String(difference(state, one.state)));
  },
);

test('ranks with BatchNormalization and an evaluation of the first hold the same state', async () => {
  const model = tinyModel({ dropout: 0.1 });
  let evaluated = 0;
  const several = await trainTogether(2, (ranks) =>
    trainAs(ranks, model, {
      fit: {
        minutes: 5,
        evaluate: () => {
          evaluated++;
          assert.ok(ranks.leads);
          return Promise.resolve({ score: 0.5, metrics: { top1: 0.5 } });
        },
      },
    }),
  );
  assert.equal(evaluated, 1);
  assert.equal(difference(several[0]!.state, several[1]!.state), 0);
  for (const { events } of several) {
    const last = events.at(-1)!;
    assert.ok(last.type === 'done' && last.best?.score === 0.5);
  }
});

test('ranks save together, once, and diverge together', async () => {
  const saved: number[] = [];
  const model = tinyModel({ batchNormalization: false });
  const save = (): Promise<string> => (saved.push(1), Promise.resolve('checkpoint'));
  await trainTogether(2, (ranks) => trainAs(ranks, model, { fit: ranks.leads ? { save } : {} }));
  assert.equal(saved.length, 1);
  const settled = await Promise.allSettled(
    ranksInMemory(2)
      .map((communicator) => createRanks(communicator))
      .map((ranks) => trainAs(ranks, model, { fit: { learningRate: 1e30 } }).catch((error) => ranks.fail(error))),
  );
  for (const one of settled) {
    assert.equal(one.status, 'rejected');
    assert.match(String(one.reason), /the loss is (NaN|-?Infinity)/);
  }
});
