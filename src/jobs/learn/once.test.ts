/**
 * Nothing is done twice in a job. The rule for pictures: a file is decoded once for all sizes at which networks
 * want it, and at most once more, small, where a report shows it. What was decoded is in the disk cache: a run that
 * goes on decodes nothing again as long as that is there. Features of a file are computed once for all commands.
 */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { runFiles } from '../../artifact/run-files.js';
import { openDataset } from '../../data/dataset.js';
import { pictureTarget, targetKey } from '../../data/target.js';
import { encodePng, type Decoding } from '../../image/decode.js';
import { readSafetensors } from '../../safetensors.js';
import { omit } from '../../options/option.js';
import type { Job } from '../../job.js';
import type { RunEvent } from '../../runs/events.js';
import type { TrainOptions } from '../../runs/resolve.js';
import { gap } from '../gap/gap.js';
import { selfTrain } from '../self-train.js';
import { distill } from '../distill.js';
import { train } from '../../runs/train.js';
import { suggest } from '../suggest/suggest.js';
import { featuresFolder } from '../../techniques/stored-features.js';
import { blobBackbone } from '../../testing/blob-backbone.js';
import { blobs, blobTraining as shared } from '../../testing/blobs.js';
import { busyClock } from '../../testing/busy-clock.js';
import { blob, temporaryFolder, writeTree } from '../../testing/image-files.js';
import { collect, hashOf, useOwnCache } from '../../testing/kit.js';
import { learn, type LearnOptions } from './learn.js';

useOwnCache();
const cache = (): string => process.env['PUPIL_CACHE']!;
const decodedImages = (): string => join(cache(), 'decoded-3');

/** A folder with val and images without labels, all different. */
async function photos(t: TestContext): Promise<{ data: string; unlabelled: string[] }> {
  const root = await temporaryFolder(t);
  const files: Record<string, Uint8Array> = {};
  const add = async (folder: string, count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const name = folder === 'more' ? 'more' : `photos/${folder}/${i % 2 ? 'red' : 'blue'}`;
      files[`${name}/${folder}-${i}.png`] = await encodePng(blob(2 * (1 - (i % 2)), seed++));
    }
  };
  let seed = 1000;
  await add('train', 12);
  await add('val', 8);
  await add('more', 40);
  await writeTree(root, files);
  return { data: join(root, 'photos'), unlabelled: [join(root, 'more')] };
}

/** How often each file of the data is decoded while `work` runs, by its name. */
async function decodings(work: () => Promise<unknown>): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const count = (message: unknown): void => {
    const name = basename((message as Decoding).where);
    if (name === runFiles.preview.name) return;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  };
  subscribe('pupil:decode', count);
  try {
    await work();
  } finally {
    unsubscribe('pupil:decode', count);
  }
  return counts;
}

test('what images took to decode, once, is not expected of a round again', async (t) => {
  const given = await photos(t);
  const backbone = await blobBackbone(join(await temporaryFolder(t), 'backbone'));
  const pass = busyClock(t);
  let isSlow = true;
  const wait = (message: unknown): void => {
    if (!isSlow || !basename((message as Decoding).where).startsWith('more-')) return;
    isSlow = false;
    pass(70);
  };
  subscribe('pupil:decode', wait);
  t.after(() => unsubscribe('pupil:decode', wait));
  const rungs = ['probe', 'consensus', 'rounds'] as const;
  const out = join(await temporaryFolder(t), 'run');
  const { result } = await collect(
    learn(given.data, { ...backbone, unlabelled: given.unlabelled, rungs, minutes: 2, out }),
  );
  const [, consensus, round] = result.rungs;
  assert.ok(consensus!.seconds! > 70);
  assert.deepEqual([round!.name, round!.skipped], ['round 1', undefined], round!.reason);
});

/** Hashes of contents that are in the cache as pictures for people. */
async function pictures(): Promise<Set<string>> {
  const ending = `-${targetKey(pictureTarget)}.rgb`;
  const names = await readdir(decodedImages(), { recursive: true }).catch(() => []);
  return new Set(names.flatMap((name) => (name.endsWith(ending) ? [basename(name, ending)] : [])));
}

/** Names of files by the hash of their content. */
async function namesOf({ data, unlabelled }: { data: string; unlabelled: string[] }): Promise<Map<string, string>> {
  const { samples } = await openDataset(data, { unlabelled });
  return new Map(samples.map(({ hash, path }) => [hash, basename(path)]));
}

/** Throws where a file was decoded more often than the rule allows; `least`: how often each has to be. */
function assertOnce(
  counts: ReadonlyMap<string, number>,
  names: ReadonlyMap<string, string>,
  shown: ReadonlySet<string>,
  least: 0 | 1,
): void {
  for (const [hash, name] of names) {
    const count = counts.get(name) ?? 0;
    const most = least + (shown.has(hash) ? 1 : 0);
    assert.ok(count >= least && count <= most, `${name} was decoded ${count} times, ${least} to ${most} are right`);
  }
}

/** Throws where a network looked at an image twice for its features, which a run keeps by network. */
async function assertFeaturesOnce(run: string): Promise<void> {
  const networks = await readdir(join(run, 'features'));
  assert.ok(networks.length > 0);
  for (const network of networks) {
    const seen = new Set<string>();
    for (const file of await readdir(join(run, 'features', network))) {
      const { tensors } = await readSafetensors(join(run, 'features', network, file));
      const hashes = tensors.get('images')!.data as Uint8Array;
      for (let at = 0; at < hashes.length; at += 16) {
        const hash = Buffer.from(hashes.subarray(at, at + 16)).toString('hex');
        assert.ok(!seen.has(hash), `${network}: features of ${hash} twice`);
        seen.add(hash);
      }
    }
  }
}

test('learn decodes a file once for all sizes, also after it was interrupted, unless the cache is gone', async (t) => {
  const at = await temporaryFolder(t),
    given = await photos(t);
  const { run: model } = await train(blobs({ train: 30, val: 10 }), {
    ...shared,
    epochs: 4,
    out: join(at, 'backbone'),
  });
  const { run: student } = await train(blobs({ train: 20, val: 10 }), {
    ...shared,
    size: 12,
    epochs: 2,
    out: join(at, 'small'),
  });
  const options: LearnOptions = {
    ...omit(shared, ['mode', 'lr', 'optimizer', 'model', 'size']),
    unlabelled: given.unlabelled,
    model,
    student,
    studentEpochs: 1,
    rungs: ['probe', 'consensus', 'rounds', 'distillation'],
  };
  const names = await namesOf(given);
  const whole = join(at, 'whole');
  const counts = await decodings(() => collect(learn(given.data, { ...options, out: whole })));
  const shown = await pictures();
  assert.ok(shown.size > 0 && shown.size < names.size, 'some are shown in a report, and some are not');
  assertOnce(counts, names, shown, 1);
  await assertFeaturesOnce(whole);
  const runs = await readdir(join(whole, 'rungs'));
  assert.deepEqual(runs.sort(), ['consensus', 'distillation', 'probe', 'round-1', 'round-2'].slice(0, runs.length));

  // Another run on the same images finds them decoded.
  const again = join(at, 'again');
  assert.deepEqual([...(await decodings(() => collect(learn(given.data, { ...options, out: again }))))], []);
  assert.equal(await hashOf(join(again, 'model.onnx')), await hashOf(join(whole, 'model.onnx')));

  const stopped = async (out: string): Promise<void> => {
    const controller = new AbortController();
    let steps = 0;
    const job = learn(given.data, { ...options, out, signal: controller.signal });
    await assert.rejects(
      collect(job, ({ type }) => {
        if (type === 'step' && ++steps === 3) controller.abort();
      }),
      { code: 'interrupted' },
    );
  };
  const goOn = (out: string) => collect(learn(undefined, { resume: out, threads: 1, workers: 0 }));
  for (const isCacheGone of [false, true]) {
    await rm(decodedImages(), { recursive: true });
    const out = join(at, `stopped-${isCacheGone}`);
    await stopped(out);
    const before = await pictures();
    if (isCacheGone) await rm(decodedImages(), { recursive: true });
    const more = await decodings(() => goOn(out));
    const after = await pictures();
    if (isCacheGone) assertOnce(more, names, after, 1);
    else assertOnce(more, names, new Set([...after].filter((hash) => !before.has(hash))), 0);
    assert.equal(await hashOf(join(out, 'model.onnx')), await hashOf(join(whole, 'model.onnx')));
  }
});

test('a file that cannot be read is warned of once, whichever technique finds it', async (t) => {
  const at = await temporaryFolder(t),
    given = await photos(t);
  const cut = (await encodePng(blob(0, 5000))).subarray(0, 200);
  const broken = { 'photos/train/red/fake.jpg': 'no image', 'photos/train/red/cut.png': cut, 'more/more/cut.png': cut };
  await writeTree(join(given.data, '..'), { ...broken, 'more/more/cut-2.png': cut.subarray(0, 150) });
  const { model } = await blobBackbone(join(at, 'backbone'));
  const options: LearnOptions = { model, unlabelled: given.unlabelled, threads: 1, workers: 0, seed: 1 };
  const warnings: string[] = [];
  await collect(learn(given.data, { ...options, rungs: ['probe', 'consensus'], out: join(at, 'run') }), (event) => {
    if (event.type === 'warning') warnings.push(event.message);
  });
  const skipped = warnings.filter((message) => message.includes('skipped: ')).join('\n');
  for (const name of [...Object.keys(broken).slice(0, 2), 'more/more/cut-2.png'])
    assert.equal(skipped.split(`${name} (`).length - 1, 1, `${name} in ${skipped}`);
});

test('other jobs decode a file once, too', async (t) => {
  const at = await temporaryFolder(t),
    given = await photos(t);
  const { unlabelled } = given;
  const names = await namesOf(given);
  const { run: teacher } = await train(blobs({ train: 30, val: 10 }), {
    ...shared,
    epochs: 4,
    out: join(at, 'teacher'),
  });
  const { run: small } = await train(blobs({ train: 20, val: 10 }), { ...shared, size: 12, out: join(at, 'small') });
  const trained = { threads: 1, workers: 0, seed: 1 };
  const jobs: Readonly<Record<string, () => unknown>> = {
    'consensus with a teacher of another size': () =>
      train(given.data, {
        ...trained,
        unlabelled,
        model: teacher,
        mode: 'consensus',
        teachers: [small],
        out: join(at, '1'),
      }),
    'distill': () =>
      distill(given.data, {
        ...omit(shared, ['mode']),
        size: 12,
        unlabelled,
        teachers: [teacher],
        epochs: 1,
        out: join(at, '2'),
      }),
    'self-train, fold by fold': () =>
      selfTrain(given.data, {
        ...shared,
        unlabelled,
        reportOn: 'val',
        epochs: 2,
        studentEpochs: 1,
        rounds: 1,
        out: join(at, '3'),
      }),
    'suggest': () =>
      suggest(given.data, { model: teacher, labels: 5, threads: 1, workers: 0, out: join(at, 'label-these.csv') }),
  };
  for (const [name, job] of Object.entries(jobs)) {
    await rm(cache(), { recursive: true, force: true });
    const counts = await decodings(async () => job());
    const shown = await pictures();
    assert.ok(counts.size > 0, name);
    const seen = new Map([...names].filter(([, file]) => counts.has(file)));
    assert.doesNotThrow(() => assertOnce(counts, seen, shown, 1), name);
  }
});

test('suggest and gap find images decoded by commands before them', async (t) => {
  const at = await temporaryFolder(t),
    given = await photos(t);
  const { run: model } = await train(blobs({ train: 30, val: 10 }), { ...shared, epochs: 4, out: join(at, 'model') });
  const machine = { threads: 1, workers: 0 };
  const suggestTo = (name: string) => () =>
    suggest(given.unlabelled[0]!, { ...machine, data: given.data, model, labels: 5, out: join(at, `${name}.csv`) });
  const gapTo = (name: string) => () =>
    gap(given.data, { ...machine, real: given.unlabelled, model, augment: ['light'], out: join(at, name) });
  const times = async (job: () => unknown): Promise<number[]> => [
    ...new Set([...(await decodings(async () => job())).values()].sort((a, b) => a - b)),
  ];
  assert.deepEqual(await times(suggestTo('one')), [1, 2], 'some are drawn on the sheet, too');
  assert.deepEqual(await times(suggestTo('again')), []);
  assert.deepEqual(await times(gapTo('gap')), [1], 'in the size that is augmented, or to be shown');
  assert.deepEqual(await times(gapTo('gap again')), []);
});

/** Images of which a job computes features in its first look at them. */
async function featuresComputed<Event extends { readonly type: string }>(job: Job<Event, unknown>): Promise<number> {
  const left: number[] = [];
  await collect(job, (event) => {
    const progress = event as unknown as RunEvent;
    if (progress.type === 'progress' && progress.what === 'features') left.push(progress.total - progress.done);
  });
  assert.equal(left.at(-1), 0);
  return left[0]!;
}

test('features are computed once for all commands, to the same bits as without a cache', async (t) => {
  const at = await temporaryFolder(t),
    given = await photos(t);
  const { run: model } = await train(blobs({ train: 30, val: 10 }), { ...shared, epochs: 4, out: join(at, 'model') });
  const machine = { threads: 1, workers: 0 };
  const { unlabelled } = given,
    features = join(cache(), featuresFolder);
  // What is timed for oneDNN stays: it rounds by that.
  const forget = (): Promise<void> => rm(features, { recursive: true, force: true });
  const trained = (name: string, options: TrainOptions = {}): Promise<number> =>
    featuresComputed(
      train(given.data, { ...machine, unlabelled, mode: 'consensus', model, out: join(at, name), ...options }),
    );
  const suggested = (name: string, of = model): Promise<number> =>
    featuresComputed(suggest(given.unlabelled[0]!, { ...machine, model: of, labels: 3, out: join(at, `${name}.csv`) }));
  const hash = (name: string): Promise<string> => hashOf(join(at, name, 'model.onnx'));

  await forget();
  assert.equal(await trained('fresh'), 60);
  await forget();
  assert.equal(await suggested('first'), 40);
  assert.equal(await trained('after suggest'), 20);
  assert.equal(await hash('after suggest'), await hash('fresh'));
  assert.equal(await trained('again'), 0);
  assert.equal(await hash('again'), await hash('fresh'));
  const known = await readdir(features, { recursive: true });
  await gap(given.data, { ...machine, real: unlabelled, model, augment: ['none'], out: join(at, 'gap') });
  assert.deepEqual(await readdir(features, { recursive: true }), known, 'what is computed is added');
  assert.equal(await suggested('by a run', join(at, 'again')), 0, 'its backbone is the same');
  const learned = learn(given.data, {
    ...machine,
    unlabelled,
    model,
    rungs: ['probe', 'consensus'],
    out: join(at, 'learn'),
  });
  assert.equal(await featuresComputed(learned), 0);

  // What rounds otherwise shares nothing.
  assert.equal(await trained('reference', { engine: 'reference' }), 60);
  assert.equal(await trained('two threads', { threads: 2 }), 60);

  // A run has its features, wherever they came from.
  await forget();
  const own = join(at, 'again', 'features');
  assert.equal(await trained('of the run', { featureCache: own }), 0);
  assert.equal(await hash('of the run'), await hash('fresh'));

  // Damaged files, and a cache that cannot be, cost time alone.
  await forget();
  await trained('filled');
  for (const name of await readdir(features, { recursive: true }))
    if (name.endsWith('.safetensors')) await truncate(join(features, name), 1000);
  assert.equal(await trained('damaged'), 60);
  await forget();
  await writeFile(features, 'no folder');
  assert.equal(await trained('without a cache'), 60);
  for (const name of ['damaged', 'without a cache']) assert.equal(await hash(name), await hash('fresh'), name);
  await forget();
});
