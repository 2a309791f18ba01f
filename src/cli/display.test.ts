import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Rung, StudentRound } from '../artifact/formats.js';
import { comparison } from '../report/comparison.js';
import { readLadder } from '../report/ladder.js';
import { createChainView, roundTable, rungTable } from './chain-view.js';
import { barLine, createProgress, type Progress } from './progress.js';
import { duration } from '../report/format.js';
import { describeMetrics } from './measures.js';
import { compact, displayWidth, facts, printable, table } from './table.js';
import { createView, followRun } from './training-progress.js';
import { PupilError } from '../errors.js';
import { Job } from '../job.js';
import type { RunEvent } from '../runs/events.js';
import { summary } from './commands/train.js';
import { clearLine, drawnLine, processTerminal, type Terminal } from './terminal.js';

const capture = (): { terminal: Terminal; lines: () => string[] } => {
  let err = '';
  return {
    terminal: {
      out: () => assert.fail('progress belongs on stderr'),
      err: (text) => {
        err += text;
      },
      interactive: false,
      width: 80,
    },
    lines: () => err.split('\n').slice(0, -1),
  };
};

test('images that are only reported on are called by their split, in lines, tables and reports', async () => {
  const { terminal, lines } = capture();
  const view = createChainView(await createProgress(terminal));
  for (const [split, title] of [
    ['val', 'Val'],
    ['test', 'Test'],
  ] as const) {
    const rung: Rung = {
      name: 'probe',
      selection: { top1: 0.9, count: 50 },
      test: { top1: 0.8, count: 40, split },
      kept: true,
      seconds: 1,
    };
    view({ type: 'rung', rung });
    assert.match(lines().at(-1)!, new RegExp(`, ${split} 80\\.0%`));
    const [heading] = rungTable([rung]).split('\n');
    assert.match(heading!, new RegExp(`accuracy +${split} +time +outcome`));
    const { rungs } = readLadder({ rungs: [rung] })!;
    assert.equal(rungs[0]!.test!.split, split);
    const { html } = comparison({
      name: 'Technique',
      model: 'Model',
      rows: [{ ...rungs[0]!, model: 'm', parameters: 1, seconds: 1, outcome: 'kept', accuracy: rungs[0]!.selection }],
    });
    assert.match(html, new RegExp(`accuracy on ${split} \\(never used to decide\\)`));
    assert.match(html, new RegExp(`>${title}<`));
  }
});

test('where nothing is held out, a training says so instead of an accuracy of no images', () => {
  const result = {
    run: 'run',
    model: 'run/model.onnx',
    best: { epoch: 1, top1: undefined },
    val: undefined,
    seconds: 1,
  };
  const said = summary(result);
  assert.match(said, /^\nvalidation: nothing is held out, so nothing is measured\n/);
  assert.doesNotMatch(said, /accuracy/);
});

test('an accuracy stands with its interval, and a balanced one with its own', () => {
  const perClass = { ants: { recall: 1, precision: 1, count: 3 }, bees: { recall: 58 / 60, precision: 1, count: 60 } };
  const [confusion, balanced] = [
    [
      [3, 0],
      [2, 58],
    ],
    (1 + 58 / 60) / 2,
  ];
  const metrics = { top1: 61 / 63, top5: 1, balanced, loss: 0.1, ece: 0.02, count: 63, perClass, confusion };
  const [line] = describeMetrics(metrics, ['ants', 'bees']).split('\n');
  assert.equal(
    line,
    'accuracy 96.8% (89.1 to 99.1%), balanced accuracy 98.3% (72.4 to 99.9%), loss 0.1000, ' +
      'calibration error 2.0%, 63 images',
  );
  // Of few images much of the calibration error is chance.
  const [few] = describeMetrics({ ...metrics, ece: 0.123, eceByChance: 0.098 }, ['ants', 'bees']).split('\n');
  assert.match(few!, /calibration error 12\.3% \(by chance alone 9\.8%\), 63 images$/);
  const [many] = describeMetrics({ ...metrics, ece: 0.123, eceByChance: 0.012 }, ['ants', 'bees']).split('\n');
  assert.match(many!, /calibration error 12\.3%, 63 images$/);
});

test('without a terminal, progress is a line now and then with rate and time left', async () => {
  const { terminal, lines } = capture();
  let time = 0;
  const progress = await createProgress(terminal, () => time);
  progress.phase('decoding', 100, 'images');
  for (let i = 1; i <= 100; i++) {
    time += 500;
    progress.update(i);
  }
  progress.phase('training', 10, 'steps', 5);
  time += 1000;
  progress.update(6, ['loss 1.5']);
  progress.end();
  assert.deepEqual(lines().slice(0, 2), [
    'decoding: 20/100 images, 2.0 images/s, 40 s left',
    'decoding: 40/100 images, 2.0 images/s, 30 s left',
  ]);
  assert.equal(lines().at(-1), 'training: 6/10 steps, 1.0 steps/s, loss 1.5, 4.0 s left');
});

test('a bar begins with the time left and takes as many columns as there are', () => {
  const state = {
    title: 'evaluating runs/a-run-with-a-long-name/model.onnx',
    place: '1200/1600 steps',
    left: '3 min 05 s left',
    words: ['fold 2 of 5', 'epoch 3/10', 'loss 0.512', 'accuracy 81.2%', '120 images/s', '3.8 steps/s'],
    share: 0.75,
  };
  const short = { ...state, title: 'training' };
  assert.equal(barLine(short, 40), '3 min 05 s left ██████░░ training');
  assert.equal(barLine(short, 50), '3 min 05 s left ██████░░ training 1200/1600 steps');
  assert.equal(barLine(short, 80), '3 min 05 s left ████████████░░░░ training 1200/1600 steps, fold 2 of 5');
  assert.equal(
    barLine(short, 120),
    '3 min 05 s left ██████████████████░░░░░░ training 1200/1600 steps, fold 2 of 5, epoch 3/10, loss 0.512, ' +
      'accuracy 81.2%',
  );
  for (const width of [10, 20, 40, 80, 120])
    for (const one of [state, short, { ...state, left: '' }, { ...state, share: undefined }])
      assert.ok(displayWidth(barLine(one, width)) <= width, `${width}: ${barLine(one, width)}`);
});

test('one bar goes over all folds, their phases, and the training on all labels', () => {
  const shown: string[] = [];
  const progress: Progress = {
    phase: (name, total, unit, done) => shown.push(`${name} ${done}/${total} ${unit}`),
    update: (done, words) => shown.push(`${done} ${words?.[0]}`),
    note: () => undefined,
    end: () => undefined,
  };
  const show = createView(progress);
  const step = (n: number): void =>
    show({
      ...{ type: 'step', epoch: 1, step: n, totalSteps: 4, loss: 1, accuracy: 0.5, metrics: {}, learningRate: 0.1 },
      imagesPerSecond: 10,
    });
  const train = (before: number): void => {
    show({ type: 'phase', name: before === 0 ? 'head' : 'fine-tuning', epochs: { before, all: 4 } });
    show({ type: 'start', epochs: 2, stepsPerEpoch: 2, totalSteps: 4, step: 0 });
    step(4);
    show({ type: 'done', epoch: 2, step: 4, best: null, seconds: 1, reason: 'epochs' });
  };
  for (const [index, name] of ['fold 1 of 2', 'fold 2 of 2', 'all labels'].entries()) {
    show({ type: 'phase', name, training: { name, index, count: 3 } });
    train(0);
    train(2);
  }
  assert.deepEqual(shown, [
    'training 0/24 steps',
    '4 fold 1 of 2',
    '8 fold 1 of 2',
    '12 fold 2 of 2',
    '16 fold 2 of 2',
    '20 all labels',
    '24 all labels',
  ]);
  show({ type: 'phase', name: 'training', epochs: { before: 0, all: 2 } });
  show({ type: 'start', epochs: 2, stepsPerEpoch: 2, totalSteps: 4, step: 0 });
  assert.equal(shown.at(-1), 'training 0/4 steps', 'another training has a bar of its own');
});

test('a training is shown epoch by epoch', async () => {
  const { terminal, lines } = capture();
  async function* events(): AsyncGenerator<RunEvent, string, undefined> {
    await Promise.resolve();
    yield { type: 'plan', run: 'runs/a', lines: ['writing runs/a'] };
    yield { type: 'warning', message: 'two\nlines' };
    yield { type: 'phase', name: 'fine-tuning' };
    yield { type: 'start', epochs: 1, stepsPerEpoch: 2, totalSteps: 2, step: 0 };
    for (const step of [1, 2]) {
      yield {
        type: 'step',
        epoch: 1,
        step,
        totalSteps: 2,
        loss: 1,
        accuracy: 0.5,
        metrics: {},
        learningRate: 0.1,
        imagesPerSecond: 12.3,
      };
    }
    yield { type: 'epoch', epoch: 1, step: 2, loss: 1, accuracy: 0.5, seconds: 3 };
    yield { type: 'evaluation', epoch: 1, step: 2, score: 1, metrics: { top1: 0.75, loss: 0.5 }, isBest: true };
    return 'done';
  }
  assert.equal(await followRun('train', () => new Job(events), terminal, createView), 'done');
  const shown = lines();
  assert.ok(shown.includes('warning: two lines'));
  assert.ok(
    shown.some((line) => /^epoch 1\/1: loss 1\.0000, accuracy 50\.0%, 3\.0 s$/.test(line)),
    shown.join('\n'),
  );
  assert.ok(shown.some((line) => line.includes('accuracy 75.0%, loss 0.5000 (best so far)')));
});

test('a run that is interrupted, or finds the disk full, says how to go on', async () => {
  const stopped = new PupilError('interrupted', 'interrupted after step 3; saved as a checkpoint');
  async function* events(run: string | undefined, error: Error): AsyncGenerator<RunEvent, never, undefined> {
    await Promise.resolve();
    if (run !== undefined) yield { type: 'plan', run, lines: [] };
    throw error;
  }
  const follow = (run?: string, error: Error = stopped): Promise<unknown> =>
    followRun('learn', () => new Job(() => events(run, error)), capture().terminal, createView);
  await assert.rejects(follow('runs/a'), {
    code: 'interrupted',
    message: 'interrupted; continue with pupil learn --resume runs/a',
  });
  const full = Object.assign(new Error('copyfile'), { code: 'ENOSPC', path: 'runs/a/model.onnx' });
  await assert.rejects(follow('runs/a', full), {
    code: 'io',
    message:
      'runs/a/model.onnx cannot be written: the disk is full; free some space; continue with pupil learn ' +
      '--resume runs/a',
  });
  const fault = new TypeError('undefined is not a function');
  await assert.rejects(follow('runs/a', fault), (error) => error === fault);
  await assert.rejects(follow(), { code: 'interrupted', message: 'interrupted after step 3; saved as a checkpoint' });
});

test('tables align wide characters and right-align numbers', () => {
  assert.equal(
    table([
      ['class', 'n'],
      ['日本', '5'],
      ['x', '10'],
    ]),
    'class   n\n-----  --\n日本    5\nx      10\n',
  );
  assert.equal(
    facts([
      ['a', '1'],
      ['long', '2'],
    ]),
    'a     1\nlong  2\n',
  );
  assert.equal(displayWidth('e\u0301'), 1);
  assert.equal(printable('a\nb\u0007'), 'a\\nb\\u0007');
});

test('a table that is wider than the display goes on in further lines', () => {
  const cells = [
    ['technique', 'held-out accuracy', 'image', 'outcome'],
    [
      'consensus',
      '80.0% ± 17.5',
      'photos/a-folder-with-a-long-name/photo-0001.jpg',
      'skipped: expected 22 min, 16 min are left',
    ],
    ['probe', '90.0% ± 13.1', 'a.jpg', 'kept'],
  ];
  assert.equal(Math.max(...table(cells, Infinity).split('\n').map(displayWidth)), 120);
  assert.equal(
    table(cells, 80),
    [
      'technique      held-out  image                       outcome',
      '               accuracy',
      '---------  ------------  --------------------------  ---------------------------',
      'consensus  80.0% ± 17.5  photos/a-folder-with-a-     skipped: expected 22 min,',
      '                         long-name/photo-0001.jpg    16 min are left',
      'probe      90.0% ± 13.1  a.jpg                       kept',
      '',
    ].join('\n'),
  );
  let random = 1;
  for (let round = 0; round < 200; round++) {
    const next = (n: number): number => (random = (random * 16807) % 2147483647) % n;
    const words = Array.from({ length: 4 }, () =>
      Array.from({ length: 3 }, () => Array.from({ length: next(8) }, () => 'ab日-'.repeat(next(9))).join(' ')),
    );
    const any = [['one', 'two', 'three'], ...words];
    const width = 44 + next(80);
    const lines = table(any, width).split('\n');
    assert.ok(
      lines.every((line) => displayWidth(line) <= width),
      table(any, width),
    );
    const letters = (text: string): number => text.replace(/[^ab日]/g, '').length;
    assert.equal(letters(lines.join('')), letters(any.flat().join('')), 'nothing is lost');
  }
});

test('numbers are written for people', () => {
  assert.deepEqual([0.84, 59.2, 59.7, 185, 7800].map(duration), ['0.8 s', '59 s', '1 min', '3 min 05 s', '2 h 10 min']);
  assert.deepEqual([950, 3_504_872, 1_814_073_344].map(compact), ['950', '3.50 M', '1.81 G']);
});

test('shares with their intervals stand below the end of their heading', () => {
  const round = (n: number, top1: number): StudentRound => ({
    round: n,
    student: 'resnet8',
    selection: { top1, interval: 0.034, count: 90 },
    test: { top1 },
    seconds: 1,
  });
  const [heading, , ...lines] = roundTable([round(0, 0.8), round(1, 1)], 1).split('\n');
  for (const title of ['held-out accuracy', 'test']) {
    const end = heading!.indexOf(title) + title.length;
    for (const line of lines.slice(0, 2)) assert.match(line.slice(0, end), /[\d%)]$/, line);
  }
  assert.match(lines[1] ?? '', /100\.0% \(95\.9 to 100\.0%\) .* final model$/);
});

test('what is written while a bar is drawn stands in a line of its own', (t) => {
  const written: string[] = [];
  t.mock.method(process.stderr, 'write', (text: string) => written.push(text) > 0);
  const terminal = processTerminal();
  terminal.err('before\n');
  drawnLine(() => process.stderr.write(clearLine));
  terminal.err('interrupted: saving\n');
  drawnLine(undefined);
  terminal.err('after\n');
  assert.deepEqual(written, ['before\n', clearLine, 'interrupted: saving\n', 'after\n']);
});

test('a technique that is not kept is shown with the reason', () => {
  const lines: string[] = [];
  const progress: Progress = {
    ...{ phase: () => undefined, update: () => undefined, end: () => undefined },
    note: (line) => lines.push(line),
  };
  const show = createChainView(progress);
  const rung = {
    name: 'round 2',
    selection: { top1: 0.9, count: 50 },
    gain: { mean: -0.04, interval: 0.06 },
    seconds: 40,
  };
  const reason = '-4.0 \u00b1 6.0 points against round 1: worse on held-out images';
  show({ type: 'rung', rung: { ...rung, kept: false, reason } });
  show({ type: 'rung', rung: { ...rung, kept: true, reason } });
  assert.deepEqual(lines, [
    `round 2: 90.0% (78.6 to 95.7%) on 50 held-out images, not kept (${reason}), 40 s`,
    'round 2: 90.0% (78.6 to 95.7%) on 50 held-out images (-4.0 \u00b1 6.0 points), ' +
      'kept, worse within the interval, 40 s',
  ]);
  // The table stays narrow: reasons are below it, and what all have alike is left out.
  const first = { name: 'round 1', selection: { top1: 0.94, count: 50 }, kept: true, seconds: 30, parameters: 10 };
  const table = rungTable([first, { ...rung, kept: false, reason, parameters: 10 }]);
  assert.equal(
    table,
    'technique      held-out accuracy  gain, points  time  outcome\n' +
      '---------  ---------------------  ------------  ----  --------\n' +
      'round 1    94.0% (83.8 to 97.9%)                30 s  kept\n' +
      'round 2    90.0% (78.6 to 95.7%)    -4.0 \u00b1 6.0  40 s  not kept\n' +
      `\nround 2: not kept (${reason})\n`,
  );
  const smaller = rungTable([first, { ...rung, kept: true, reason, parameters: 5 }]);
  assert.match(smaller, /time +parameters +outcome\n/);
  assert.match(smaller, /\nround 2: kept, worse within the interval\n$/);
});
