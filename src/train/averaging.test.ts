import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ranksInMemory } from '../parallel/memory.js';
import { createRanks, type Ranks } from '../parallel/ranks.js';
import { difference, losses, trainAs, trainTogether, type Outcome } from '../testing/ranks-in-process.js';
import { tinyModel } from '../testing/tiny-model.js';
import { averagingOverRanks, type Averaging } from './averaging.js';
import type { FitOptions, FitSnapshot } from './fit.js';
import type { TrainingStepOptions } from './step.js';

/** Ranks that make steps by themselves and average. */

const model = tinyModel({ dropout: 0.3 });

interface Told {
  readonly step?: Partial<TrainingStepOptions>;
  readonly fit?: Partial<FitOptions>;
  readonly averaging?: Averaging;
}

const trainLocally = (ranks: Ranks, every: number, { step, fit, averaging }: Told = {}): Promise<Outcome> =>
  trainAs(ranks, model, {
    step: { local: true, ...step },
    fit: { averaging: averaging ?? averagingOverRanks(ranks, every), ...fit },
  });

const epochOf = ({ events }: Outcome): unknown =>
  events.flatMap((event) => (event.type === 'epoch' ? [[event.loss, event.accuracy]] : []))[0];

for (const size of [2, 4])
  for (const momentum of [0, 0.9])
    test(`${size} ranks of SGD, momentum ${momentum}: averages of every step are those of gradients`, async () => {
      const step = { optimizer: { name: 'sgd', momentum } } as const;
      const usual = await trainTogether(size, (ranks) => trainAs(ranks, model, { step }));
      const local = await trainTogether(size, (ranks) => trainLocally(ranks, 1, { step }));
      for (const { state } of local) {
        const far = difference(state, usual[0]!.state);
        assert.ok(far < 1e-5, String(far));
      }
      const [[loss, accuracy], [usualLoss, usualAccuracy]] = [local, usual].map(
        ([first]) => epochOf(first!) as [number, number],
      ) as [[number, number], [number, number]];
      assert.ok(Math.abs(loss - usualLoss) < 1e-5);
      assert.equal(accuracy, usualAccuracy);
    });

test('the state after an average is the mean of what each rank trained by itself', async () => {
  const apart: Averaging = {
    next: ({ epoch, stepInEpoch: from }, to) => Promise.resolve({ epoch, from, to }),
    average: (_, sums) => Promise.resolve(sums),
  };
  const step = { optimizer: { name: 'adamw' } } as const;
  const alone = await trainTogether(2, (ranks) => trainLocally(ranks, 0, { step, averaging: apart }));
  const [one, other] = alone.map(({ state }) => state) as [Outcome['state'], Outcome['state']];
  assert.ok(difference(one, other) > 1e-3, 'ranks learn from other rows');
  const mean = new Map(
    [...one].map(([name, { dtype, dims, data }]) => {
      const second = other.get(name)!.data as Float32Array;
      const values = Float32Array.from(data as Float32Array, (value, i) => (value + second[i]!) / 2);
      return [name, { dtype, dims, data: values }];
    }),
  );
  for (const { state } of await trainTogether(2, (ranks) => trainLocally(ranks, 100, { step })))
    assert.ok(difference(state, mean) < 1e-6, String(difference(state, mean)));
});

test('ranks exchange once in so many steps, and save only then', async () => {
  let sums = 0;
  const saved: FitSnapshot[] = [];
  const told = (ranks: Ranks): Told => ({
    averaging: {
      ...averagingOverRanks(ranks, 2),
      average(state, own) {
        sums++;
        return averagingOverRanks(ranks, 2).average(state, own);
      },
    },
    fit: ranks.leads
      ? { save: (snapshot) => (saved.push(snapshot), Promise.resolve('checkpoint')), checkpointSeconds: 0 }
      : {},
  });
  const whole = await trainTogether(2, (ranks) => trainLocally(ranks, 2, told(ranks)));
  assert.equal(sums, 2 * 3, 'after steps 2, 4 and 5 of an epoch, on both ranks');
  assert.deepEqual(
    saved.map(({ position }) => position.step),
    [2, 4, 5],
  );
  assert.equal(difference(whole[0]!.state, whole[1]!.state), 0);
  assert.deepEqual(epochOf(whole[0]!), epochOf(whole[1]!));
  assert.notDeepEqual(losses(whole[0]!), losses(whole[1]!), 'each tells the losses of its own steps');
  // The first rank alone has what was saved.
  const { tensors, position } = saved[1]!;
  const resumedBy = (size: number): Promise<Outcome[]> =>
    trainTogether(size, (ranks) =>
      trainLocally(ranks, 2, { fit: { resume: position, state: ranks.leads ? tensors : new Map() } }),
    );
  for (const { state } of await resumedBy(2)) assert.equal(difference(state, whole[0]!.state), 0);
  const [first, ...others] = await resumedBy(4);
  assert.equal(losses(first!).length, 1, 'step 5 is left');
  for (const { state } of others) assert.equal(difference(state, first!.state), 0);
});

test('a rank that fails between averages ends all', async () => {
  const settled = await Promise.allSettled(
    ranksInMemory(2)
      .map((communicator) => createRanks(communicator, { pulse: 0.01 }))
      .map((ranks) =>
        trainLocally(ranks, 100, {
          fit: ranks.leads
            ? {}
            : {
                source: {
                  stepsPerEpoch: 5,
                  async *batches() {
                    await Promise.resolve();
                    throw new Error('no more batches');
                  },
                },
              },
        }).catch((error) => ranks.fail(error)),
      ),
  );
  for (const one of settled) {
    assert.equal(one.status, 'rejected');
    assert.match(String(one.reason), /rank 1 .*no more batches/);
  }
});
