import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadCheckpoint } from '../artifact/checkpoint.js';
import { writePseudoLabels } from '../artifact/pseudo-labels.js';
import { datasetOf, withSamples } from '../data/dataset.js';
import { selectPseudoLabels } from '../data/pseudo-labels.js';
import type { Dataset, Sample } from '../data/sample.js';
import type { Job } from '../job.js';
import { keepLabels } from '../data/split.js';
import { encodePng } from '../image/decode.js';
import { blobTraining } from '../testing/blobs.js';
import { blob, temporaryFolder, writeTree } from '../testing/image-files.js';
import { collect as collectJob, hashOf, refused, useOwnCache } from '../testing/kit.js';
import { distill } from '../jobs/distill.js';
import type { RunEvent, TrainResult } from './events.js';
import type { MaskStatistics } from '../techniques/mask-observer.js';
import type { TrainOptions } from './resolve.js';
import type { TechniqueName } from '../techniques/index.js';
import { train } from './train.js';

useOwnCache();

const channels = { red: 0, green: 1, blue: 2 } as const;
type Colour = keyof typeof channels;

/**
 * `count` images to learn from of each class, four to select on. `shown` gives the colour that
 * stands under a label.
 */
function blobs(classes: readonly Colour[], count: number, shown = (name: Colour): Colour => name, from = 0): Dataset {
  return datasetOf(
    'blobs',
    classes,
    classes.flatMap((name, label) =>
      Array.from({ length: count + 4 }, (_, i) => ({
        image: blob(channels[shown(name)], from + i),
        label,
        split: i < count ? ('train' as const) : ('val' as const),
        path: `blobs/${name}/${from + i}`,
      })),
    ),
  );
}
const data = blobs(['blue', 'red'], 12);

const shared = { ...blobTraining, seed: 3 } as const;

const collect = (
  job: Job<RunEvent, TrainResult>,
  onStep?: (step: number) => void,
): Promise<{ readonly result: TrainResult; readonly events: RunEvent[] }> =>
  collectJob(job, (event) => event.type === 'step' && onStep?.(event.step));
const run = (options: TrainOptions, on: Dataset = data): Promise<{ result: TrainResult; events: RunEvent[] }> =>
  collect(train(on, { ...shared, ...options }));
// Networks to learn from, trained when first asked for.
let folder: string | undefined;
const trained = new Map<string, Promise<string>>();
async function teacher(name: string, on: Dataset, options: TrainOptions): Promise<string> {
  folder ??= await mkdtemp(join(tmpdir(), 'pupil-teachers-'));
  if (!trained.has(name))
    trained.set(
      name,
      run({ epochs: 4, augment: 'none', out: join(folder, name), ...options }, on).then(({ result }) => result.model),
    );
  return trained.get(name)!;
}
after(() => folder !== undefined && rm(folder, { recursive: true, force: true }));
/** Sees 24x24 pixels, knows one class more and has them in another order. */
const otherTeacher = (): Promise<string> =>
  teacher('other', blobs(['red', 'green', 'blue'], 12, undefined, 100), { size: 24, batchSize: 8, epochs: 6 });

/**
 * A file in which what lost its label under --labels-per-class 1 is labelled rightly, one class
 * half as often.
 */
async function pseudoLabelFile(at: string, soft: boolean): Promise<string> {
  const { unlabelled } = keepLabels(
    data.samples.filter(({ split }) => split === 'train'),
    1,
    shared.seed,
  );
  const rows = unlabelled.map(({ path, hash, truth }, i) => ({
    path,
    hash,
    label: truth!,
    confidence: truth === 0 && i % 2 === 0 ? 0.6 : 0.9,
    accepted: true,
    copies: 1,
    probabilities: Float32Array.from([0, 1], (c) => (c === truth ? 0.9 : 0.1)),
  }));
  const file = join(at, `labels-${soft ? 'soft' : 'hard'}.csv`);
  await writePseudoLabels(
    file,
    selectPseudoLabels({ classes: data.classes, rows, soft }, { threshold: 0.7, balance: true }),
  );
  return file;
}

/** Two labels, fewer than a batch, and 22 images without; two epochs. */
const few: TrainOptions = { labelsPerClass: 1, epochs: 2 };
const matching: TrainOptions = { ...few, unlabelledRatio: 2, threshold: 0.51 };
const { threshold: _, ...softMatching } = matching;
const trainings: readonly (readonly [
  about: string,
  technique: TechniqueName,
  options: (at: string) => Promise<TrainOptions>,
])[] = [
  ['fixmatch', 'fixmatch', async () => matching],
  ['flexmatch', 'flexmatch', async () => matching],
  ['softmatch', 'softmatch', async () => softMatching],
  ['freematch', 'freematch', async () => softMatching],
  ['adamatch', 'adamatch', async () => ({ ...matching, dropout: 0.2, balance: true })],
  ['debiasmatch', 'debiasmatch', async () => matching],
  ['mean teacher', 'mean-teacher', async () => ({ ...softMatching, augment: 'light', dropout: 0.2 })],
  [
    'mean teacher with accumulated gradients, in phases',
    'mean-teacher',
    async () => ({ ...softMatching, augment: 'light', batchSize: 2, accumulate: 2, gradualUnfreeze: 1 }),
  ],
  [
    'flexmatch for a short training, weak views through the averaged weights',
    'flexmatch',
    async () => ({ ...matching, threshold: 'relative', alignment: 'half', rampUp: 0.5, weakPass: 'averaged' }),
  ],
  [
    'adamatch, half-way alignment, weak views apart',
    'adamatch',
    async () => ({ ...matching, alignment: 'half', weakPass: 'apart' }),
  ],
  [
    'fixmatch, fewer images of both kinds than a batch takes',
    'fixmatch',
    async () => ({ ...matching, batchSize: 16, epochs: 4 }),
  ],
  ['flexmatch with accumulated gradients', 'flexmatch', async () => ({ ...matching, batchSize: 2, accumulate: 2 })],
  ['flexmatch in phases', 'flexmatch', async () => ({ ...matching, gradualUnfreeze: 1 })],
  [
    'distillation, fixed views',
    'distillation',
    async () => ({ ...few, teachers: [await otherTeacher()], augment: 'none' }),
  ],
  [
    'distillation, varied and mixed views, two teachers',
    'distillation',
    async () => ({ ...few, teachers: [await otherTeacher(), await otherTeacher()], cutmix: 1 }),
  ],
  ['pseudo-labels, hard', 'pseudo-labels', async (at) => ({ ...few, pseudoLabels: await pseudoLabelFile(at, false) })],
  [
    'pseudo-labels, soft and mixed',
    'pseudo-labels',
    async (at) => ({ ...few, pseudoLabels: await pseudoLabelFile(at, true), mixup: 0.4, unlabelledRatio: 2 }),
  ],
  ['prior-match', 'prior-match', async (at) => ({ ...few, pseudoLabels: await pseudoLabelFile(at, true) })],
];

for (const [about, technique, optionsOf] of trainings) {
  test(`${about}: a training ends, and interrupted at any step it goes on to the same bytes`, async (t) => {
    const at = await temporaryFolder(t);
    const options: TrainOptions = { ...(await optionsOf(at)), technique };
    const whole = await run({ ...options, out: join(at, 'whole') });
    const steps = whole.events.filter((event) => event.type === 'step');
    assert.ok(steps.length >= 4 && steps.every(({ loss }) => Number.isFinite(loss)), `${steps.length} steps`);
    const expected = await hashOf(whole.result.model),
      metrics = await readFile(join(whole.result.run, 'metrics.jsonl'), 'utf8');
    for (const stop of [1, steps.length - 2]) {
      const out = join(at, `stopped-${stop}`),
        controller = new AbortController();
      let seen = 0;
      await assert.rejects(
        collect(
          train(data, { ...shared, ...options, out, signal: controller.signal }),
          () => ++seen === stop && controller.abort(),
        ),
        { code: 'interrupted' },
      );
      if (technique === 'flexmatch' && stop > 1) {
        const learned = (await loadCheckpoint(join(out, 'checkpoints'))).tensors.get('observer:learned')!
          .data as Float32Array;
        assert.ok(
          learned.filter((label) => label >= 0).length > 8,
          `more was learned than the last step saw: ${learned.join(' ')}`,
        );
      }
      if (technique === 'softmatch')
        assert.notEqual((await loadCheckpoint(join(out, 'checkpoints'))).tensors.get('softmatch:mean')!.data[0], 0.5);
      await collect(train(data, { resume: out, threads: 1, workers: 0 }));
      assert.equal(await readFile(join(out, 'metrics.jsonl'), 'utf8'), metrics, `stopped after ${stop}: other metrics`);
      assert.equal(await hashOf(join(out, 'model.onnx')), expected, `stopped after ${stop}: other weights`);
    }
  });
}

test('the metrics of every epoch say what became of unlabelled images, and the truth where it is known', async (t) => {
  const { result } = await run({ ...matching, technique: 'flexmatch', out: join(await temporaryFolder(t), 'run') });
  const epochs = (await readFile(join(result.run, 'metrics.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; unlabelled?: MaskStatistics })
    .filter(({ type }) => type === 'epoch');
  assert.equal(epochs.length, 2);
  for (const { unlabelled } of epochs) {
    const { kept, known, right, perClass, thresholds } = unlabelled!;
    assert.ok(kept >= 0 && kept <= 1 && right! >= 0 && right! <= 1);
    // 24 images to learn from, of which one of each class is labelled.
    assert.equal(known, Math.round(kept * 22), 'every unlabelled image is known here');
    assert.ok(Math.abs(perClass['red']!.predicted + perClass['blue']!.predicted - 1) < 1e-6);
    assert.deepEqual(Object.keys(thresholds!), ['blue', 'red']);
  }
});

test('a student learns from a teacher with another input size, other classes and another order of them', async (t) => {
  const file = await otherTeacher(),
    before = await hashOf(file);
  const { result } = await run({
    technique: 'distillation',
    teachers: [file],
    labelsPerClass: 1,
    epochs: 12,
    augment: 'none',
    out: join(await temporaryFolder(t), 'run'),
  });
  assert.ok(result.val!.top1 >= 0.9, `val ${result.val!.top1}`);
  assert.equal(await hashOf(file), before);
});

test('labels alone are enough for distillation, even fewer than a batch', async (t) => {
  const labelled = { ...data, samples: data.samples.filter(({ split }, i) => split === 'val' || i % 4 === 0) };
  for (const batchSize of [4, 16]) {
    const { result, events } = await run(
      {
        technique: 'distillation',
        teachers: [await otherTeacher()],
        epochs: 2,
        batchSize,
        out: join(await temporaryFolder(t), 'run'),
      },
      labelled,
    );
    assert.ok(Number.isFinite(result.val!.loss));
    assert.equal(events.filter(({ type }) => type === 'step').length, 2);
  }
});

test('batch size and learning rate are chosen for the loss of the technique', async (t) => {
  const { events } = await run({
    ...matching,
    technique: 'flexmatch',
    batchSize: 'auto',
    lr: 'auto',
    out: join(await temporaryFolder(t), 'run'),
  });
  assert.ok(events.some((event) => event.type === 'note' && event.message.startsWith('chosen automatically')));
});

test('without labelled data a student learns to agree with its teacher, and its run goes on too', async (t) => {
  const at = await temporaryFolder(t);
  await writeTree(
    join(at, 'images'),
    Object.fromEntries(
      await Promise.all(
        Array.from({ length: 20 }, async (_, i) => [`${i}.png`, await encodePng(blob(i % 3, 300 + i))]),
      ),
    ),
  );
  const { mode: _mode, ...options } = shared;
  const told = { ...options, teachers: [await otherTeacher()], unlabelled: [join(at, 'images')], epochs: 2 };
  const { result } = await collect(distill(undefined, { ...told, out: join(at, 'whole') }));
  assert.ok(result.val!.count > 0 && Number.isFinite(result.val!.loss));
  const controller = new AbortController(),
    out = join(at, 'stopped');
  await assert.rejects(
    collect(
      distill(undefined, { ...told, out, signal: controller.signal }),
      (step) => step === 2 && controller.abort(),
    ),
    { code: 'interrupted' },
  );
  await collect(distill(undefined, { resume: out, threads: 1, workers: 0 }));
  assert.equal(await hashOf(join(out, 'model.onnx')), await hashOf(result.model));
});

test('teachers that cannot teach are refused', async (t) => {
  const at = await temporaryFolder(t);
  const taught = (model: string, on = data, more: TrainOptions = {}): Promise<unknown> => {
    const told: TrainOptions = { technique: 'distillation', labelsPerClass: 4, teachers: [model], ...more };
    return run({ ...few, ...told, out: join(at, 'never') }, on);
  };
  const wrong = await teacher(
    'wrong',
    blobs(['blue', 'red'], 12, (name) => (name === 'red' ? 'blue' : 'red'), 200),
    {},
  );
  await assert.rejects(
    taught(wrong),
    refused('bad-data', /teacher .*model\.onnx: right on \d of 8 labelled images, no better than chance \(50%\)/),
  );
  await assert.rejects(
    taught(wrong, blobs(['blue', 'green', 'red'], 12)),
    refused('bad-data', /does not know the class green of the data \(it knows blue, red\)/),
  );
  await assert.rejects(taught(join(at, 'nothing.onnx')), { code: 'not-found' });
  await assert.rejects(taught(wrong, data, { teacherSize: 24 }), {
    option: 'teacherSize',
    message: /was made by Pupil and says itself how images are prepared; leave `teacherSize` out/,
  });
  await assert.rejects(taught(wrong, data, { teachers: [wrong, wrong], teacherNormalize: 'unit' }), {
    option: 'teacherNormalize',
    message: /was made by Pupil/,
  });
});

test('what a technique cannot do is refused', async () => {
  const rows: readonly (readonly [TrainOptions, RegExp])[] = [
    [{ technique: 'fixmatch' }, /no images without labels to learn from; give some with `unlabelled`/],
    [{ technique: 'softmatch' }, /no images without labels/],
    [{ technique: 'distillation' }, /distillation needs a model to imitate; name it with `teachers`/],
    [{ technique: 'fixmatch', teachers: ['x'] }, /`teachers`: fixmatch has no use for it \(distillation has\)/],
    [
      { technique: 'fixmatch', pseudoLabels: 'x.csv' },
      /`pseudoLabels`: fixmatch has no use for it \(pseudo-labels, prior-match have\)/,
    ],
    [{ technique: 'pseudo-labels' }, /needs a file of labels; name it with `pseudoLabels`/],
    [{ technique: 'softmatch', threshold: 0.9 }, /`threshold`: softmatch has no use for it \(fixmatch, flexmatch/],
    [{ technique: 'fixmatch', temperature: 4 }, /`temperature`: fixmatch has no use for it \(distillation has\)/],
    [{ technique: 'supervised', unlabelledRatio: 2 }, /`unlabelledRatio`: supervised has no use for it/],
    [
      { technique: 'adamatch', cutmix: 1 },
      /`cutmix`: adamatch has no use for it \(supervised, distillation, pseudo-labels/,
    ],
    [{ technique: 'flexmatch', threshold: 1.5 }, /`threshold` takes relative or a number from 0 to 1, got 1\.5/],
    [{ technique: 'fixmatch', unlabelledRatio: 2.5 }, /`unlabelledRatio` takes a whole number from 1 to 100, got 2\.5/],
    [
      { technique: 'distillation', teachers: ['x'], temperature: 0 },
      /`temperature` takes a number from 0\.01 to 1000, got 0/,
    ],
    [{ technique: 'distillation', teachers: ['x'], alpha: 2 }, /`alpha` takes a number from 0 to 1, got 2/],
    [
      { technique: 'distillation', teachers: ['x'], labelSmoothing: 0.1 },
      /`labelSmoothing`: distillation has no use for it \(supervised, .*fixmatch/,
    ],
    [{ technique: 'distillation', teachers: ['x'], losses: { brier: 1 } }, /`losses`: distillation has no use for it/],
    [
      { technique: 'fixmatch', mode: 'probe', model: 'x' },
      /`mode: probe` solves the last layer alone: fixmatch trains all layers/,
    ],
  ];
  const copied = withSamples(data, [
    ...data.samples,
    ...data.samples
      .filter(({ split }) => split === 'val')
      .map((sample): Sample => ({ ...sample, split: 'unlabelled', label: -1, path: `copy/${sample.path}` })),
  ]);
  await assert.rejects(
    run({ technique: 'fixmatch' }, copied),
    refused('usage', /\(all \d+ are left out, for their content is also in train, val or test\)/),
  );
  for (const [options, says] of rows)
    await assert.rejects(run(options), refused('usage', says), JSON.stringify(options));
});
