import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { agree, SharedPart, type Agreement } from '../artifact/shared-folder.js';
import { alone } from '../parallel/ranks.js';
import { float32, type Tensor } from '../tensor.js';
import { temporaryFolder } from '../testing/image-files.js';
import { difference, trainAs, type Outcome } from '../testing/ranks-in-process.js';
import { tinyModel } from '../testing/tiny-model.js';
import { createSchedule } from '../train/schedules.js';
import { begin, type FitOptions, type FitSnapshot } from '../train/fit.js';
import { SharedAveraging } from './shared-averaging.js';

/** Machines that train one network through a folder; here in one process. */

const model = tinyModel({ dropout: 0.3 });
const [epochs, stepsPerEpoch, every] = [4, 5, 2];
const allStretches = epochs * Math.ceil(stepsPerEpoch / every);

const averagingOf = (folder: string, machine: string): SharedAveraging =>
  new SharedAveraging(
    { folder, machine: machine.repeat(12), training: 'abc' },
    { part: 'all-1', epochs, stepsPerEpoch, every },
  );

const stretchesIn = async (folder: string): Promise<number[]> =>
  (await readdir(join(folder, 'all-1', 'stretches'))).map(Number).sort((a, b) => a - b);

const stepsOf = ({ events }: Pick<Outcome, 'events'>): number[] =>
  events.flatMap((event) => (event.type === 'step' ? [event.step] : []));

const counting = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => from + i);

const train = (averaging: SharedAveraging, more: Partial<FitOptions> = {}): Promise<Outcome> =>
  trainAs(alone, model, { fit: { epochs, averaging, ...more } });

test('a machine alone in a folder trains as one without, to the same bits', async (t) => {
  const averaging = averagingOf(await temporaryFolder(t), 'a');
  const shared = await train(averaging);
  const usual = await trainAs(alone, model, { fit: { epochs } });
  assert.equal(difference(shared.state, usual.state), 0);
  assert.deepEqual(
    shared.events.flatMap((event) => (event.type === 'epoch' ? [event.loss] : [])),
    usual.events.flatMap((event) => (event.type === 'epoch' ? [event.loss] : [])),
  );
  assert.equal(averaging.summary, 'no other machine trained meanwhile');
});

test('machines share the steps of a training, each step made once, and average', async (t) => {
  const folder = await temporaryFolder(t);
  const machines = ['a', 'b', 'c'].map((name) => averagingOf(folder, name));
  const outcomes = await Promise.all(machines.map((averaging) => train(averaging)));
  assert.deepEqual(
    outcomes.flatMap(stepsOf).sort((a, b) => a - b),
    counting(epochs * stepsPerEpoch, 1),
  );
  assert.deepEqual(await stretchesIn(folder), counting(allStretches));
  for (const { summary } of machines) assert.match(summary, /averaged with [12] other machine/);
  for (const outcome of outcomes) {
    const last = outcome.events.at(-1)!;
    assert.ok(last.type === 'done' && last.epoch === epochs);
  }
  const files = (await readdir(join(folder, 'all-1'))).filter((name) => name.endsWith('.safetensors'));
  assert.equal(files.length, 3, 'one file for each machine');
  // Who comes afterwards has nothing to do, and the average.
  const late = averagingOf(folder, 'd');
  const { state, machines: count } = await late.join(outcomes[0]!.state, undefined);
  assert.ok(count >= 1);
  const outcome = await train(late, { state });
  assert.deepEqual(stepsOf(outcome), []);
  assert.equal(difference(outcome.state, state), 0);
});

test('what a machine that is gone had taken on is left out; all else is made by the others', async (t) => {
  const folder = await temporaryFolder(t);
  const gone = new SharedPart(join(folder, 'all-1'), 'e'.repeat(12), 'abc');
  assert.ok(await gone.take(0));
  assert.equal(await gone.take(0), false, 'no stretch is taken on twice');
  const outcome = await train(averagingOf(folder, 'a'));
  assert.deepEqual(stepsOf(outcome), counting(epochs * stepsPerEpoch - every, 1 + every));
});

test('a machine that was stopped goes on where it was, to the same bits', async (t) => {
  const usual = await trainAs(alone, model, { fit: { epochs } });
  const schedule = createSchedule('cosine', { warmUpSteps: 2 });
  // Within a stretch, at its end, and at the end of an epoch.
  for (const last of [8, 9, 10]) {
    const folder = await temporaryFolder(t);
    const stop = new AbortController();
    const snapshots: FitSnapshot[] = [];
    const stopped = train(averagingOf(folder, 'a'), {
      signal: stop.signal,
      schedule(step, total) {
        if (step + 1 === last) stop.abort();
        return schedule(step, total);
      },
      save: (snapshot) => (snapshots.push(snapshot), Promise.resolve('checkpoint')),
    });
    await assert.rejects(stopped, /interrupted after step/);
    const { tensors, position } = snapshots.at(-1)!;
    assert.equal(position.step, last);
    const averaging = averagingOf(folder, 'a');
    const { state } = await averaging.join(tensors, position);
    const resumed = await train(averaging, { state, resume: position });
    assert.equal(difference(resumed.state, usual.state), 0, `after step ${last}`);
    assert.deepEqual(stepsOf(resumed), counting(epochs * stepsPerEpoch - last, 1 + last));
  }
});

const weight = (value: number): Map<string, Tensor> => new Map([['w', float32([1], Float32Array.of(value))]]);
const valueOf = (state: ReadonlyMap<string, Tensor>): number => Number(state.get('w')!.data[0]);
test('machines count by the steps that they made since they were averaged', async (t) => {
  const folder = await temporaryFolder(t);
  const own = averagingOf(folder, 'a');
  const slow = new SharedPart(join(folder, 'all-1'), 'b'.repeat(12), 'abc');
  await own.join(weight(0), undefined);
  const averageAt = async (value: number): Promise<number> => {
    await own.next(begin);
    const state = weight(value);
    await own.average(state, { loss: 0, correct: 0, steps: 2 });
    return valueOf(state);
  };
  assert.equal(await averageAt(10), 10, 'no other');
  await slow.put(weight(20), { stretch: 1, steps: 2 });
  assert.equal(await averageAt(10), 15, 'as many steps since');
  assert.equal(await averageAt(10), 10, 'nothing new');
  assert.equal(await averageAt(10), 10);
  await slow.put(weight(20), { stretch: 2, steps: 4 });
  assert.equal(await averageAt(10), Math.fround((10 + 20 / 3) / (1 + 1 / 3)), '2 steps for 6 own ones');
});

test('a newcomer begins with the average of the machines that have come furthest', async (t) => {
  const folder = await temporaryFolder(t);
  const part = (name: string): SharedPart => new SharedPart(join(folder, 'all-1'), name.repeat(12), 'abc');
  await part('b').put(weight(1), { stretch: 0, steps: 2 });
  await part('c').put(weight(10), { stretch: 5, steps: 9 });
  await part('d').put(weight(20), { stretch: 4, steps: 8 });
  await writeFile(join(folder, 'all-1', `${'f'.repeat(12)}-000006-12.safetensors`), 'damaged');
  const newcomer = averagingOf(folder, 'a');
  const { machines, state, step } = await newcomer.join(weight(0), undefined);
  assert.deepEqual([machines, valueOf(state), step], [2, 15, 12], 'one went long ago, one file is damaged');
  const next = await newcomer.next(begin);
  assert.deepEqual(next, { epoch: 0, from: 0, to: 2 }, 'the first that no machine has taken on');
  const further = { ...begin, epoch: 3, stepInEpoch: 4, step: 19 };
  const own = await averagingOf(folder, 'e').join(weight(7), further);
  assert.deepEqual([own.machines, valueOf(own.state)], [0, 7], 'what is further is kept');
  const other = new SharedPart(join(folder, 'all-1'), '9'.repeat(12), 'another training');
  await other.put(weight(1), { stretch: 7, steps: 3 });
  await assert.rejects(averagingOf(folder, '8').join(weight(0), undefined), /is of another training; delete it/);
});

const agreement: Agreement = {
  version: '1.0.0',
  command: 'train',
  images: 'i',
  names: 'n',
  network: 'w',
  teaching: 't',
  options: { lr: 0.1, epochs: 3 },
};

test('machines that were told other things are refused', async (t) => {
  const folder = join(await temporaryFolder(t), 'made', 'here');
  const hash = await agree(folder, agreement);
  assert.equal(await agree(folder, agreement), hash);
  const refused = (other: Partial<Agreement>, code: string, message: RegExp): Promise<void> =>
    assert.rejects(agree(folder, { ...agreement, ...other }), { code, option: 'share', message });
  await refused({ version: '2.0.0' }, 'usage', /the version is 2.0.0 here, that of the training in .*here is 1.0.0/);
  await refused({ command: 'distill' }, 'usage', /the command is distill here/);
  await refused({ images: 'j' }, 'bad-data', /learns from other images/);
  await refused({ names: 'j' }, 'bad-data', /other names of the images/);
  await refused({ network: 'j' }, 'bad-data', /began with another network/);
  await refused({ teaching: 'j' }, 'bad-data', /is taught by other models or pseudo-labels/);
  await refused({ options: { lr: 0.2, epochs: 3 } }, 'usage', /`lr` is 0.2 here, 0.1 for the training in/);
  await refused({ options: { lr: 0.1 } }, 'usage', /`epochs` is not given here, 3 for/);
  assert.deepEqual(await readdir(folder), [`${hash}.json`]);
  await writeFile(join(folder, `${hash}.json`), '{');
  await assert.rejects(agree(folder, { ...agreement, version: '2.0.0' }), {
    code: 'bad-data',
    message: /not valid JSON/,
  });
});
