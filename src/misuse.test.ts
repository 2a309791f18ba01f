import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import * as augment from './augment.js';
import * as data from './data.js';
import { PupilError } from './errors.js';
import { imageOf } from './image/image.js';
import * as pupil from './index.js';
import * as techniques from './techniques.js';

/** What programs hand over by mistake: each public function answers with a PupilError. */

const image = imageOf(32, 32, new Uint8Array(32 * 32 * 3));
const images = data.datasetOf(
  'images',
  ['a', 'b', 'c', 'd', 'e'],
  Array.from({ length: 20 }, (_, i) => ({
    image,
    label: i % 5,
    split: i < 10 ? ('train' as const) : ('val' as const),
  })),
);
const file = new URL('../fixtures/onnx/torchscript-17.onnx', import.meta.url).pathname;
const classifier = await pupil.loadModel(file, { threads: 1 });
after(() => classifier.close());
const closed = await pupil.loadModel(file, { threads: 1 });
await closed.close();

// Programs in JavaScript have no types.
/* eslint-disable @typescript-eslint/no-explicit-any */
type Call = (...given: any[]) => unknown;
const call = (name: string, of: Call): readonly [string, Call] => [name, of];
/* eslint-enable @typescript-eslint/no-explicit-any */

/** Takes data, then options. */
const jobs = [
  call('train', pupil.train as never),
  call('learn', pupil.learn as never),
  call('distill', pupil.distill as never),
  call('selfTrain', pupil.selfTrain as never),
  call('search', pupil.search as never),
  call('gap', pupil.gap as never),
  call('pseudoLabel', pupil.pseudoLabel as never),
];
const valued = [
  ...Object.entries(techniques).map(([name, of]) => call(name, of as never)),
  ...(['randAugment', 'trivialAugment', 'autoAugment', 'augMix', 'erase', 'cutout', 'cutMix', 'mixUp'] as const).map(
    (name) => call(name, augment[name] as never),
  ),
];

/** Awaits what is thrown or rejected. */
async function failureOf(work: () => unknown): Promise<unknown> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** A mistake, and the option that the error names. */
type Mistake = readonly [says: string, work: () => unknown, option?: string];
const mistakes: Mistake[] = [];
const add = (says: string, work: () => unknown, option?: string): void => void mistakes.push([says, work, option]);

for (const [name, of] of jobs) {
  for (const options of [null, 5, 'x', []])
    add(`${name}(data, ${JSON.stringify(options)})`, () => of('photos', options));
  add(`${name}(data, a misspelt option)`, () => of('photos', { thraeds: 2 }), 'threads');
  add(`${name}(data, an unknown option)`, () => of('photos', { zzzzzzzzzz: 2 }), 'zzzzzzzzzz');
  add(`${name}(data, a wrong value)`, () => of('photos', { threads: 'two' }), 'threads');
  add(`${name}(data, a wrong signal)`, () => of('photos', { signal: 5 }), 'signal');
  const needed = { teachers: 'a', model: file, unlabelled: 'x', real: 'x', out: 'labels.csv' };
  const taken = {
    train: [],
    learn: [],
    search: [],
    selfTrain: ['model', 'unlabelled'],
    distill: ['teachers', 'model'],
  };
  const own = { ...taken, gap: ['real', 'model'], pseudoLabel: ['model', 'out'] }[name] ?? [];
  const options = Object.fromEntries(Object.entries(needed).filter(([key]) => own.includes(key as never)));
  for (const source of [undefined, null, 5, {}, [], ''])
    add(`${name}(${JSON.stringify(source)})`, () => of(source, options));
}
for (const [name, of] of valued)
  for (const options of [null, 5, 'x', []]) add(`${name}(${JSON.stringify(options)})`, () => of(options));
for (const value of [undefined, null, 5, {}, '']) {
  const said = JSON.stringify(value) ?? 'nothing';
  add(`loadModel(${said})`, () => pupil.loadModel(value as never));
  add(`predict(${said})`, () => classifier.predict(value as never));
  add(`predict([${said}])`, () => classifier.predict([value] as never));
  add(`evaluate(${said})`, () => pupil.evaluate(value as never, images));
  add(`evaluate(classifier, ${said})`, () => pupil.evaluate(classifier, value as never));
  add(`openDataset(${said})`, () => data.openDataset(value as never));
  add(`parseAugment(${said})`, () => augment.parseAugment(value as never));
  add(`readAugment(${said})`, () => augment.readAugment(value as never));
  add(`transform(${said})`, () => augment.transform(value as never));
  add(`buildPipeline(${said})`, () => augment.buildPipeline(value as never));
}
for (const options of [null, 5, 'x']) {
  add(`loadModel(file, ${options})`, () => pupil.loadModel(file, options as never));
  add(`predict(image, ${options})`, () => classifier.predict(image, options as never));
  add(`evaluate(classifier, data, ${options})`, () => pupil.evaluate(classifier, images, options as never));
  add(`openDataset(path, ${options})`, () => data.openDataset('x', options as never));
}
const wrong = (options: object): never => options as never;
add('loadModel: misspelt', () => pupil.loadModel(file, wrong({ thread: 1 })), 'threads');
add('loadModel: wrong value', () => pupil.loadModel(file, wrong({ size: -1 })), 'size');
add('predict: misspelt', () => classifier.predict(image, wrong({ view: 10 })), 'views');
add('predict: wrong value', () => classifier.predict(image, wrong({ views: 3 })), 'views');
add('evaluate: misspelt', () => pupil.evaluate(classifier, images, wrong({ splitt: 'val' })), 'split');
add('evaluate: wrong value', () => pupil.evaluate(classifier, images, { split: wrong({}) }), 'split');
for (const name of ['batchSize', 'workers'])
  add(`evaluate: ${name} with tta`, () => pupil.evaluate(classifier, images, { tta: true, [name]: 1 }), name);
add('pseudoLabel: seed', () => pupil.pseudoLabel('x', { model: file, out: 'y.csv', seed: 1 }), 'seed');
add('openDataset: misspelt', () => data.openDataset('x', wrong({ unlabeled: [] })), 'unlabelled');
add('predict after close', () => closed.predict(image));
add('run after close', () => closed.run(image.data, 1));
add('evaluate after close', () => pupil.evaluate(closed, images, { workers: 0 }));
add('predict: too few pixels', () => classifier.predict({ ...image, data: image.data.subarray(3) }));
add('predict: no pixels', () => classifier.predict({ width: 3, height: 3 } as never));
add('run: too few pixels', () => classifier.run(image.data.subarray(3), 1));
add('distill: student', () => pupil.distill(images, wrong({ student: 'x' })), 'model');
add('train: augment', () => pupil.train(images, { augment: 'nosuch' }), 'augment');
add('train: randaugment', () => pupil.train(images, { augment: 'randaugment:n=-1' }), 'augment');
add('train: augment null', () => pupil.train(images, { augment: null as never }), 'augment');
add('train: augment of null', () => pupil.train(images, { augment: [null] as never }), 'augment');
add('train: augment of nothing known', () => pupil.train(images, { augment: [{ name: 'x' }] as never }), 'augment');
add('train: strong', () => pupil.train(images, { technique: 'fixmatch', strong: 'nosuch' }), 'strong');
add('selfTrain: augment', () => pupil.selfTrain(images, { model: 'x', studentAugment: 'nosuch' }), 'studentAugment');
add('gap: augment', () => pupil.gap('x', { real: 'y', augment: 'nosuch' }), 'augment');
add('train: technique null', () => pupil.train(images, { technique: null as never }), 'technique');
add('train: technique without a name', () => pupil.train(images, { technique: {} as never }), 'technique');
add(
  'train: technique, misspelt',
  () => pupil.train(images, { technique: techniques.fixMatch(wrong({ treshold: 1 })) }),
  'threshold',
);
add(
  'train: teacherNormalize',
  () => pupil.train(images, { teachers: file, teacherNormalize: 'x' }),
  'teacherNormalize',
);
add('randAugment: n', () => augment.randAugment({ n: -1 }), 'n');
add('randAugment: misspelt', () => augment.randAugment(wrong({ nn: 1 })), 'nn');
add('cutMix: alpha', () => augment.cutMix({ alpha: -1 }), 'alpha');
add('cutMix: misspelt', () => augment.cutMix(wrong({ alhpa: 1 })), 'alpha');
add('mixUp: probability', () => augment.mixUp({ probability: 2 }), 'probability');

describe('a mistake of a program is a PupilError with a code, and the option that it is about', () => {
  for (const [says, work, option] of mistakes) {
    test(says, async () => {
      const error = await failureOf(work);
      assert.ok(error instanceof PupilError, `${says}: ${error instanceof Error ? error.stack : String(error)}`);
      if (option !== undefined) assert.equal(error.option, option, error.message);
    });
  }
});

test('one path stands for a list of paths, in every function', async () => {
  for (const options of [
    { technique: 'fixmatch', unlabelled: 'no such folder' },
    { technique: techniques.fixMatch({ unlabelled: 'no such folder' }) },
  ] as const)
    await assert.rejects(Promise.resolve(pupil.train(images, options)), {
      code: 'not-found',
      message: /no such folder/,
    });
  await assert.rejects(Promise.resolve(pupil.learn(images, { unlabelled: 'no such folder' })), { code: 'not-found' });
  await assert.rejects(Promise.resolve(pupil.gap(file, { real: 'no such folder' })), { code: 'bad-data' });
});
