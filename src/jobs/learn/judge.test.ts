import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Stage } from '../stages.js';
import { judge, type Bar, type Trained } from './judge.js';

/** What was right on so many held-out labels: the first ones, or those from `from` on. */
const trained = (name: string, labels: number, right: number, from = 0): Trained => {
  const paths = Array.from({ length: labels }, (_, i) => [`${i}.png`, i] as const);
  const stage: Partial<Stage> = {
    name,
    groups: new Map(),
    right: new Map(paths.map(([path, i]) => [path, i >= from && i < from + right])),
  };
  return { name, model: 'resnet8', stage: stage as Stage };
};

interface Row {
  readonly labels: number;
  readonly before: number;
  readonly after: number;
  /** Of those that `after` is right on, the first one; default 0. */
  readonly from?: number;
  readonly kept: boolean;
  readonly says?: RegExp;
}

const rows: readonly Row[] = [
  // Of a handful of labels an interval passes anything, guessing too: -60 points are too many all the same.
  { labels: 5, before: 3, after: 0, kept: false, says: /−60.0 ± 68.0 points .*much worse on the few held-out images/ },
  { labels: 5, before: 4, after: 3, kept: true },
  { labels: 8, before: 6, after: 3, kept: false, says: /much worse on the few/ },
  { labels: 8, before: 6, after: 4, kept: true },
  // One label tells nothing.
  { labels: 1, before: 1, after: 0, kept: true },
  { labels: 3, before: 2, after: 1, kept: true },
  { labels: 3, before: 3, after: 1, kept: false, says: /much worse on the few/ },
  { labels: 3, before: 0, after: 3, kept: true },
  // From 40 labels on the interval alone decides, also where it is as wide as it can be.
  { labels: 40, before: 26, after: 14, from: 26, kept: true },
  { labels: 40, before: 27, after: 13, from: 27, kept: false, says: /: worse on held-out images$/ },
  { labels: 60, before: 30, after: 27, kept: true },
  { labels: 60, before: 30, after: 25, kept: false, says: /: worse on held-out images$/ },
];

test('a rung is kept unless it is worse beyond its interval, or much worse on a handful of labels', () => {
  for (const { labels, before, after, from, kept, says = /points against one$/ } of rows) {
    const one = trained('one', labels, before),
      other = trained('other', labels, after, from);
    const name = `${labels}: ${before}, ${after}`;
    const judged = judge({ trained: other, before: [one], below: one });
    assert.equal(judged.kept, kept, `${name}: ${judged.reason}`);
    assert.match(judged.reason!, says, name);
    const smaller = judge({ trained: other, before: [one], below: one, bar: 'as good' });
    assert.equal(smaller.kept, kept, `${name}, smaller`);
  }
});

test('copies of held-out images are no further evidence', () => {
  const copied = (one: Trained): Trained => {
    const paths = [...one.stage.right].flatMap(([path, right]) =>
      [1, 2, 3, 4].map((copy) => ({ path: `${copy} ${path}`, original: path, right })),
    );
    const stage = {
      ...one.stage,
      right: new Map(paths.map(({ path, right }) => [path, right])),
      groups: new Map(paths.map(({ path, original }) => [path, original])),
    };
    return { ...one, stage };
  };
  for (const { labels, before, after, from, kept } of rows) {
    const one = copied(trained('one', labels, before)),
      other = copied(trained('other', labels, after, from));
    const { gain, ...judged } = judge({ trained: other, before: [one], below: one });
    assert.equal(judged.kept, kept, `${labels}: ${before}, ${after}: ${judged.reason}`);
    const alone = judge({
      trained: trained('other', labels, after, from),
      before: [],
      below: trained('one', labels, before),
    });
    assert.ok(Math.abs(gain!.interval! - alone.gain!.interval!) < 1e-9, `${labels}: ${gain!.interval}`);
  }
});

test('a student that is no smaller than its teacher is kept where it is better beyond the interval', () => {
  for (const { labels, before, after, kept, says } of [
    { labels: 10, before: 4, after: 4, kept: false, says: /^no smaller than its teacher, and not better beyond/ },
    { labels: 10, before: 4, after: 5, kept: false, says: /not better beyond the interval: \+10.0 ± 22.6 points/ },
    { labels: 10, before: 2, after: 9, kept: true, says: /points against one$/ },
    { labels: 0, before: 0, after: 0, kept: false, says: /no labels are held out to show it better$/ },
  ]) {
    const [one, other] = [trained('one', labels, before), trained('other', labels, after)];
    const judged = judge({ trained: other, before: [one], below: one, bar: 'better' });
    assert.equal(judged.kept, kept, `${labels}: ${before}, ${after}: ${judged.reason}`);
    assert.match(judged.reason!, says);
  }
});

test('a smaller network that had time for few of its steps has to be better beyond the interval', () => {
  for (const { labels, before, after, completed, kept, says } of [
    {
      labels: 20,
      before: 19,
      after: 19,
      completed: 0.04,
      kept: false,
      says: /^had time for 4% of its usual steps, /,
    },
    { labels: 20, before: 19, after: 20, completed: 0.49, kept: false, says: /time for 49% .*: \+5.0 ± 10.5 points/ },
    { labels: 20, before: 5, after: 19, completed: 0.1, kept: true, says: /points against one$/ },
    {
      labels: 20,
      before: 19,
      after: 18,
      completed: 0.5,
      kept: true,
      says: /^as good within the interval, and smaller/,
    },
    { labels: 0, before: 0, after: 0, completed: 0.1, kept: false, says: /10% .*, and no labels are held out to show/ },
  ]) {
    const [one, other] = [trained('one', labels, before), trained('other', labels, after)];
    const short = { ...other, stage: { ...other.stage, completed } };
    const judged = judge({ trained: short, before: [one], below: one, bar: 'as good' });
    assert.equal(judged.kept, kept, judged.reason);
    assert.match(judged.reason!, says);
  }
});

test('a technique with few of its steps has to be better, a round of few is judged as any', () => {
  const judged = (after: number, completed: number | undefined, bar: Bar): ReturnType<typeof judge> => {
    const [one, other] = [trained('one', 40, 30), trained('other', 40, after)];
    return judge({ trained: { ...other, stage: { ...other.stage, completed } }, before: [one], below: one, bar });
  };
  const short = judged(30, 0.05, 'no loss when taught');
  assert.equal(short.kept, false);
  assert.match(short.reason!, /^had time for 5% of its usual steps, and not better beyond the interval: 0.0/);
  assert.equal(judged(38, 0.05, 'no loss when taught').kept, true);
  assert.equal(judged(30, 0.6, 'no loss when taught').kept, true);
  assert.equal(judged(29, undefined, 'no loss when taught').kept, true);
  assert.equal(judged(30, 0.05, 'no loss').kept, true);
});

test('a round from scratch is right at least as often, with few of its steps more often beyond the interval', () => {
  const judged = (after: number, completed?: number): ReturnType<typeof judge> => {
    const [one, other] = [trained('consensus', 40, 30), trained('round 1', 40, after)];
    return judge({
      trained: { ...other, stage: { ...other.stage, completed } },
      before: [one],
      below: one,
      bar: 'no less often when taught',
    });
  };
  assert.deepEqual(
    [judged(30).kept, judged(31).kept, judged(30, 0.3).kept, judged(38, 0.3).kept],
    [true, true, false, true],
  );
  const worse = judged(29);
  assert.equal(worse.kept, false);
  assert.match(worse.reason!, /points against consensus: right less often on held-out images$/);
});

test('how sure a round is of the labels held out decides nothing, labels that contradict sure ones do', () => {
  const below = trained('round 1', 50, 47),
    next = { ...trained('round 2', 50, 46), agreement: { mean: -0.01, interval: 0.005 } };
  assert.deepEqual(judge({ trained: next, before: [below], below }).kept, true);
  const astray = { ...next, agreement: { mean: -0.04, interval: 0.01 } };
  assert.match(judge({ trained: astray, before: [below], below }).reason!, /its labels contradict those before/);
});

test('a rung that loses against the one below is compared with all before, a smaller one with that below', () => {
  const [best, below, next] = [trained('best', 5, 4), trained('below', 5, 3), trained('next', 5, 2)];
  const before = [best, below];
  const { kept, reason } = judge({ trained: next, before, below });
  assert.equal(kept, false);
  assert.match(reason!, /against below, −40.0 ± \d+.\d against best: much worse on the few held-out images/);
  assert.equal(judge({ trained: next, before, below, bar: 'as good' }).kept, true);
  const same = judge({ trained: below, before: [below], below, bar: 'as good' });
  assert.equal(same.kept, true, 'the same answers, and smaller');
});

test('a rung that is right as often as the one that is kept is kept, whatever its interval against others', () => {
  // Six labels lost in both cases: beside others won that is within the interval, alone it is not.
  const probe = trained('probe', 101, 84),
    consensus = trained('consensus', 101, 78, 12),
    round = trained('round 1', 101, 78);
  const one = judge({ trained: consensus, before: [probe], below: probe });
  assert.ok(one.kept && one.gain!.mean < 0 && one.gain!.mean + one.gain!.interval! > 0);
  const alone = judge({ trained: round, before: [probe], below: probe });
  assert.ok(!alone.kept && alone.gain!.mean + alone.gain!.interval! < 0);
  const before = [probe, consensus];
  assert.equal(judge({ trained: round, before, below: consensus }).kept, true);
  const less = trained('round 2', 101, 77);
  const { kept, reason } = judge({ trained: less, before, below: consensus });
  assert.equal(kept, false);
  assert.match(reason!, /against consensus, −6.9 ± \d.\d against probe: worse on held-out images$/);
});

test('what knows less than the rungs below is kept where it is right more often beyond the interval', () => {
  for (const { labels, before, after, kept, says } of [
    { labels: 50, before: 40, after: 40, kept: false, says: /^not better beyond .*: 0.0 ± 0.0 points against one$/ },
    { labels: 20, before: 18, after: 19, kept: false, says: /^not better beyond .*: \+5.0 ± 10.5 points against one$/ },
    { labels: 50, before: 30, after: 41, kept: true, says: /^\+22.0 ± 11.9 points against one$/ },
    { labels: 0, before: 0, after: 0, kept: false, says: /^no labels are held out to show it better$/ },
  ]) {
    const [one, other] = [trained('one', labels, before), trained('other', labels, after)];
    const judged = judge({ trained: other, before: [one], below: one, bar: 'better from labels alone' });
    assert.equal(judged.kept, kept, judged.reason);
    assert.match(judged.reason!, says);
  }
});
