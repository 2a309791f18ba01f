import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlannedRung } from '../../artifact/formats.js';
import type { Part } from '../parts.js';
import { describePlan, type TimedPlan } from './plan.js';
import { secondsTogether } from '../side-by-side.js';
import { whyEpochs } from './rounds.js';
import type { Situation } from './rungs.js';
import { forSmaller, keptFor, minutesUntil, secondsFor, shortestOf, timetable, type Turn } from './time.js';

const situation: Situation = {
  options: {},
  model: 'resnet20',
  mode: 'scratch',
  epochs: 5,
  labelled: 4000,
  unlabelled: 16000,
};
const pretrained: Situation = { ...situation, model: 'backbone.onnx', mode: 'finetune', labelled: 50 };

/** What three trainings take in their usual epochs, and in the most that they may have. */
const many: PlannedRung[] = [
  { name: 'augmentation', expectedSeconds: 168, leastSeconds: 8, mostSeconds: 1100 },
  { name: 'noisy student', expectedSeconds: 150, leastSeconds: 30, mostSeconds: 5000 },
  { name: 'noisy student 2', expectedSeconds: 150, leastSeconds: 30, mostSeconds: 5000 },
];
const secondsOf = (planned: readonly PlannedRung[]): number[] =>
  planned.map(({ expectedSeconds }) => Math.round(expectedSeconds));

test('from scratch the plan says the share of the time that each technique will have, not its usual time', () => {
  const table = timetable(many, situation, { left: 2400, tried: [] });
  // Half of 40 minutes is more than 200 epochs; then 0.6 of the rest, and all that is left.
  assert.deepEqual(secondsOf(table), [1100, 780, 520]);
  let left = 2400;
  for (const [i, { expectedSeconds }] of table.entries()) {
    const given = secondsFor(many[i]!, { planned: many, situation, left });
    assert.equal(Math.min(given, many[i]!.mostSeconds!), expectedSeconds, 'what it is given when its turn comes');
    left -= expectedSeconds;
  }
  assert.deepEqual(secondsOf(timetable(many, situation, { left: Infinity, tried: [] })), [168, 150, 150]);
  const lines = describePlan(situation, [whole], planOf(situation, many, { left: 2390 }), 2400);
  assert.deepEqual(lines.slice(3), [
    'techniques augmentation: about 18 min (46% of the time)',
    '           noisy student: about 13 min (32% of the time)',
    '           noisy student 2: about 8.6 min (22% of the time)',
    'time       about 40 min of 40 min',
  ]);
});

const whole = {
  ...{ name: '', folder: '', decides: true, options: {} },
  data: { path: 'photos', classes: ['a'], samples: [] },
} as unknown as Part;
const fold: Part = { ...whole, name: 'fold 1 of 3', folder: 'fold-1' };

const planOf = (
  of: Situation,
  planned: readonly PlannedRung[],
  { left, tried = [] }: { readonly left: number; readonly tried?: TimedPlan['tried'] },
): TimedPlan => ({ rungs: timetable(planned, of, { left, tried }), left, tried });

test('FixMatch leaves what follows it at least half of the time, where that needs so much', () => {
  const planned: PlannedRung[] = [
    { name: 'supervised', expectedSeconds: 9, leastSeconds: 4, mostSeconds: 60 },
    { name: 'fixmatch', expectedSeconds: 40, leastSeconds: 6, mostSeconds: 900 },
    { name: 'consensus', expectedSeconds: 12, leastSeconds: 12 },
    { name: 'rounds', expectedSeconds: 20, leastSeconds: 14, besideSeconds: 4, mostSeconds: 160 },
  ];
  const few = { ...situation, labelled: 100, unlabelled: 900 };
  const given = (left: number, slower = 1, beside = 0): number =>
    secondsFor(planned[1]!, { planned, situation: few, left, beside, expected: (seconds) => slower * seconds });
  assert.equal(given(200), 150, 'three quarters');
  assert.equal(given(80), 80 - 26);
  assert.equal(given(80, 3), 40, 'on a machine that turned out to be slower');
  assert.equal(given(80, 4), 80, 'a consensus of 48 s would not fit into half of that: nothing follows');
  assert.equal(given(80, 1, 16), 80 - 32, 'where trainings began later than was planned');
  assert.deepEqual(secondsOf(timetable(planned, few, { left: 100, tried: [] })), [10, 64, 12, 14]);
});

test('rounds leave a smaller network what it usually takes, on a slow machine too', () => {
  const planned: PlannedRung[] = [
    { name: 'rounds', expectedSeconds: 60, leastSeconds: 20 },
    { name: 'supervised', expectedSeconds: 60, leastSeconds: 20 },
    { name: 'distillation', expectedSeconds: 30, leastSeconds: 25, besideSeconds: 20, mostSeconds: 90 },
  ];
  const turn = (left: number, slower: number): Turn => ({
    ...{ planned, situation: pretrained, left },
    expected: (seconds) => slower * seconds,
  });
  const kept = (left: number, slower: number, all = left): number => forSmaller(turn(left, slower), all);
  assert.equal(kept(100, 1), 30, 'what it takes');
  assert.equal(kept(100, 2), 60, 'more than half of the time');
  assert.equal(kept(55, 2), 55, 'all of it, before rounds have any');
  assert.equal(kept(40, 2), 0, 'where it does not fit the rounds have all');
  assert.equal(kept(47, 2, 60), 47, 'what was kept for it stays: it can be begun with half of its least steps');
  assert.equal(kept(44, 2, 60), 0, 'until it cannot');
  // What fine-tunes leaves it the same; itself it has all.
  assert.deepEqual(
    planned.map((plan) => keptFor(plan, turn(90, 2))),
    [60, 60, 0],
  );
  assert.equal(secondsFor(planned[2]!, turn(60, 2)), 60);
  assert.equal(shortestOf(planned[2]!), 22.5);
});

test('a stage of several trainings ends in time, however long the first of them took to begin', () => {
  let now = 0;
  const begin = (): ((part: Part) => number) => {
    now = 10;
    const minutes = minutesUntil({ parts: [fold, whole], at: 116, elapsed: () => now, beside: 5 });
    return (part) => Math.round(60 * minutes(part));
  };
  const seconds = begin();
  assert.equal(seconds(fold), 24, 'a quarter of 96 s: a third of what the other has');
  now = 60;
  assert.equal(seconds(whole), 51, 'the rest');
  const late = begin();
  late(fold);
  now = 200;
  assert.equal(late(whole), 36, 'half of its part at least');
});

test('a stage whose trainings several processes share has the time of those that are made one after the other', () => {
  assert.equal(secondsTogether([1, 1, 1, 3], 1), 6);
  assert.equal(secondsTogether([1, 1, 1, 3], 2), 3, 'three beside the last one, which is begun first');
  assert.equal(secondsTogether([1, 1, 1, 3], 9), 3);
  const parts = [fold, whole];
  const seconds = (together: number): number[] => {
    const minutes = minutesUntil({ parts, at: 116, elapsed: () => 10, beside: 5 });
    return parts.map((part) => Math.round(60 * minutes(part, together)));
  };
  assert.deepEqual(seconds(1), [24, 72]);
  assert.deepEqual(seconds(2), [34, 101], 'each from now to the end');
});

test('the plan of a run that goes on has what was done, and only the time that is left', () => {
  const planned: PlannedRung[] = [
    { name: 'probe', expectedSeconds: 2, usualSeconds: 2 },
    { name: 'consensus', expectedSeconds: 5, usualSeconds: 5 },
    { name: 'rounds', expectedSeconds: 300, usualSeconds: 90, leastSeconds: 20, besideSeconds: 8, mostSeconds: 240 },
  ];
  const tried = [
    { name: 'probe', kept: true, seconds: 3 },
    { name: 'consensus', kept: true, seconds: 6 },
    { name: 'round 1', kept: true, seconds: 30 },
    { name: 'round 2', kept: false, skipped: true, reason: 'stopped' },
  ];
  const plan = planOf(pretrained, planned, { left: 60, tried });
  assert.deepEqual(secondsOf(plan.rungs), [2, 5, 90]);
  const lines = describePlan(pretrained, [whole], plan, 120);
  assert.deepEqual(lines.slice(3), [
    'techniques probe: done in 3 s',
    '           consensus: done in 6 s',
    '           rounds: 1 done, up to 60 s',
    'time       about 60 s, 60 s are left of 2 min',
  ]);
  const late = describePlan(pretrained, [whole], planOf(pretrained, planned, { left: 40 }), 60);
  assert.match(late.join('\n'), /probe: about 2 s \(5% of the time\)[^]*, 40 s are left of 60 s/);
  assert.match(
    describePlan(pretrained, [whole], planOf(pretrained, planned, { left: 4 }), 4).join('\n'),
    /rounds: skipped unless enough time is left: takes at least 20 s/,
  );
  const never = describePlan(pretrained, [whole], planOf(pretrained, planned, { left: 1 }), 60).join('\n');
  assert.match(never, /probe: about 2 s\n[^]*even probe alone takes longer than is left/);
});

test('a plan says why the student of a round has so many epochs, unless they were asked for', () => {
  const few = { ...pretrained, unlabelled: 190 };
  const studentEpochs = whyEpochs(few)!;
  assert.equal(studentEpochs, '10 in a round: 240 images, each 10 times, but at least 2400 and at most 9600 in all');
  const planned = [
    { name: 'probe', expectedSeconds: 2 },
    { name: 'rounds', expectedSeconds: 30, leastSeconds: 10 },
  ];
  const linesIn = (left: number): string[] =>
    describePlan(few, [whole], { ...planOf(few, planned, { left }), reasons: { studentEpochs } }, left);
  assert.ok(linesIn(Infinity).includes(`epochs     ${studentEpochs}`));
  assert.ok(!linesIn(5).some((line) => line.startsWith('epochs')), 'no round is planned');
  assert.match(whyEpochs({ ...pretrained, unlabelled: 1550 })!, /^6 in a round: 1600 images/);
  assert.equal(whyEpochs({ ...few, options: { studentEpochs: 2 } }), undefined);
  assert.equal(whyEpochs(situation), undefined);
});

test('where nothing is held out the plan says what to do about that', () => {
  const none = [{ ...whole, decides: false }];
  const plan = planOf(situation, many, { left: Infinity });
  const line = (options: Situation['options']): string =>
    describePlan({ ...situation, options }, none, plan, Infinity)[2]!;
  assert.match(line({ folds: 0 }), /no labels are held out; leave out `folds: 0` and give two of each class or a val/);
  const pair = [0, 1].map((i) => ({ split: 'train', label: 0, path: `${i}` }));
  const two = [{ ...none[0]!, data: { ...none[0]!.data, samples: pair } } as unknown as Part];
  assert.match(
    describePlan({ ...situation, options: { folds: 0 } }, two, plan, Infinity)[2]!,
    /no labels are held out; leave out `folds: 0`$/,
  );
  assert.match(line({}), /give two of each class or a val\/ folder$/);
  assert.match(line({ reportOn: 'val' }), /give two of each class$/);
});
