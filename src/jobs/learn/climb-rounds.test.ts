import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Rung } from '../../artifact/formats.js';
import { climbRounds } from './climb-rounds.js';
import type { Climb, Climber, LearnEvent } from './climber.js';

/** What is said of rounds where so many labels of the consensus are likely right; undefined: they are tried. */
async function skippedFor(
  meanConfidence: number,
  { mode = 'finetune', isFinished = false, top1 = 0, count = 0, classes = 10 } = {},
): Promise<string | undefined> {
  let reason: string | undefined;
  const climber: Partial<Climber> = {
    trained: () =>
      ({
        name: 'consensus',
        labels: { meanConfidence },
        stage: { selection: { top1, count } },
      }) as unknown as ReturnType<Climber['trained']>,
    isFinished: () => isFinished,
    async *skip(_rung: Pick<Rung, 'name'>, why: string): AsyncGenerator<LearnEvent, undefined, undefined> {
      reason = why;
      yield* [];
      return undefined;
    },
  };
  const chain = { dataset: { classes: Array.from({ length: classes }, String) } };
  const work = { situation: { mode }, budget: 60, chain } as unknown as Climb;
  const rounds = climbRounds(work, climber as Climber, { name: 'rounds', expectedSeconds: 9 });
  // What is tried reads the labels, which are not there.
  await rounds.next().catch(() => undefined);
  return reason;
}

test('no rounds follow labels of which most are likely wrong', async () => {
  assert.match((await skippedFor(0.39))!, /^the consensus is only 39% sure of its labels in the mean: .*; label more /);
  assert.match(
    (await skippedFor(0.31, { top1: 0.39, count: 100 }))!,
    /only 31% sure of its labels in the mean and right on 39\.0% \(30\.0 to 48\.8%\) of 100 held-out images: /,
  );
  assert.equal(await skippedFor(0.31, { top1: 0.5, count: 12 }), undefined, 'held-out labels say more');
  assert.equal(await skippedFor(0.5), undefined);
  assert.equal(await skippedFor(0.26, { mode: 'scratch' }), undefined, 'a network from scratch is another matter');
  // Of two classes half is right by guessing.
  assert.ok(await skippedFor(0.52, { top1: 0.5, count: 4, classes: 2 }));
  assert.equal(await skippedFor(0.52, { top1: 0.75, count: 8, classes: 2 }), undefined);
  assert.equal(await skippedFor(0.65, { classes: 2 }), undefined);
  assert.equal(await skippedFor(0.46, { classes: 4 }), undefined);
  assert.equal(await skippedFor(0.26, { isFinished: true }), undefined, 'rounds that were begun go on');
});
