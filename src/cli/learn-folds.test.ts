import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { LadderFile } from '../artifact/formats.js';
import { encodePng } from '../image/decode.js';
import { pupil } from '../testing/command-line.js';
import { blob, writeTree } from '../testing/image-files.js';
import { useOwnCache } from '../testing/kit.js';
import { redAndBlue, run } from '../testing/shards.js';

useOwnCache();

const options = [
  ...['--mode', 'scratch', '--model', 'convnet-small', '--size', '16', '--batch-size', '4', '--folds', '3'],
  ...['--rungs', 'supervised,augmentation', '--threads', '1', '--workers', '0', '--seed', '3'],
];

const runs = ['supervised', 'augmentation'].flatMap((rung) =>
  ['', '-fold-1', '-fold-2', '-fold-3'].map((fold) => `rungs/${rung}${fold}`),
);

/** What a seed learned: weights, and what they say of held-out images, of every training; without times and places. */
function learnedIn(folder: string): unknown {
  const { rungs, kept } = JSON.parse(readFileSync(join(folder, 'ladder.json'), 'utf8')) as LadderFile;
  return {
    kept,
    rungs: rungs.map(({ seconds: _, expectedSeconds: __, ...others }) => others),
    files: ['.', ...runs].flatMap((place) =>
      ['model.onnx', 'selection.json', 'evaluation.json', 'learned.json'].flatMap((name) => {
        const path = join(folder, place, name);
        return existsSync(path) ? [[join(place, name), readFileSync(path).toString('base64')]] : [];
      }),
    ),
  };
}

/** Every training says where it is, and nothing is left beside. */
function assertTidy(folder: string): void {
  for (const place of runs) {
    const path = join(folder, place);
    const result = JSON.parse(readFileSync(join(path, 'result.json'), 'utf8')) as Record<string, unknown>;
    assert.deepEqual([result['run'], result['model']], [path, join(path, 'model.onnx')]);
    const config = JSON.parse(readFileSync(join(path, 'run.json'), 'utf8')) as { begun: { run: string } };
    assert.equal(config.begun.run, path);
    assert.ok(!existsSync(join(path, 'checkpoints')));
    assert.doesNotMatch(readFileSync(join(path, 'model-card.md'), 'utf8'), /tasks/);
  }
  assert.deepEqual(readdirSync(join(folder, 'rungs')).sort(), runs.map((place) => place.slice('rungs/'.length)).sort());
  assert.ok(!existsSync(join(folder, 'tasks')));
}

const program = fileURLToPath(new URL('./main.js', import.meta.url));

function start(t: TestContext, ...words: string[]): ChildProcess {
  const child = spawn(process.execPath, [program, 'learn', ...words], { stdio: 'ignore' });
  t.after(() => kill(child));
  return child;
}

/** Kills a process, and waits until it is gone. */
async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    assert.ok(tries < 3000, 'waited for a minute');
    await sleep(20);
  }
}

const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);

test('more shards than seeds share the trainings on folds, to the bytes of one process', async (t) => {
  const at = await redAndBlue(t, 24);
  const told = [at('data'), ...options, '--epochs', '9'];
  await run('learn', ...told, '--out', at('one'));
  const said: string[] = [];
  const shard = async (i: number): Promise<Record<string, unknown>> => {
    const { code, out, err } = await pupil(
      ...['learn', ...told, '--seeds', '1', '--shard', `${i}/3`, '--out', at('parts'), '--json'],
    );
    assert.equal(code, 0, err);
    said.push(err);
    return JSON.parse(out) as Record<string, unknown>;
  };
  // The last one is started twice.
  const each = await Promise.all([1, 2, 3, 3].map(shard));
  assert.deepEqual(learnedIn(at('parts/seed-3')), learnedIn(at('one')));
  assertTidy(at('parts/seed-3'));
  const shares = /^shards +those of this seed share its trainings on folds; the times are those of one process$/m;
  assert.equal(said.filter((err) => shares.test(err)).length, 1, 'the plan of who leads');
  assert.equal(each.flatMap(({ trained }) => trained as number[]).join(), '3', 'one of them leads');
  const helped = each.reduce((sum, one) => sum + Number(one['helped']), 0);
  assert.ok(helped > 0 && helped <= runs.length, `${helped} trainings were made by others`);
  for (const one of each) assert.deepEqual([one['seeds'], one['done'], one['planned']], [[3], 1, 1]);
  const late = await shard(2);
  assert.deepEqual([late['trained'], late['helped'], late['done']], [[], 0, 1], 'nothing is left to do');
  await run('learn', '--merge', at('parts'), '--out', at('merged'));
  assert.ok(readFileSync(at('merged/model.onnx')).equals(readFileSync(at('one/model.onnx'))));
});

test('a helper that is killed, and then who leads, leave the rest to the others', async (t) => {
  const at = await redAndBlue(t, 24);
  const told = [at('data'), ...options, '--epochs', '30'];
  await run('learn', ...told, '--out', at('one'));
  const shared = (i: number): string[] => [...told, '--seeds', '1', '--shard', `${i}/3`, '--out', at('parts')];
  const tasks = at('parts/seed-3/tasks');
  const leader = start(t, ...shared(1));
  await until(() => namesIn(tasks).some((name) => name === 'leader.claim'));
  const helper = start(t, ...shared(2));
  // It has taken on a training, and is at it.
  await until(() => namesIn(tasks).some((name) => /-[0-9a-f]{8}$/.test(name)));
  await kill(helper);
  await until(() => existsSync(at('parts/seed-3/rungs/supervised-fold-3/result.json')));
  assert.equal(leader.exitCode, null);
  await kill(leader);
  const rest = await run('learn', ...shared(3));
  assert.deepEqual([rest['trained'], rest['done']], [[3], 1], 'goes on in place of the one that led');
  assert.deepEqual(learnedIn(at('parts/seed-3')), learnedIn(at('one')));
  assertTidy(at('parts/seed-3'));
});

test('a helper refuses a seed that learns with other options or from other images', async (t) => {
  const at = await redAndBlue(t, 24);
  const told = [at('data'), ...options, '--epochs', '30', '--seeds', '1', '--out', at('parts')];
  const leader = start(t, ...told, '--shard', '1/2');
  await until(() => existsSync(at('parts/seed-3/run.json')));
  const other = await pupil('learn', ...told, '--shard', '2/2', '--lr', '0.1');
  assert.equal(other.code, 2);
  assert.match(other.err, /seed-3 was made with --lr "its default"/);
  await writeTree(at('data'), { 'red/more.png': await encodePng(blob(0, 77)) });
  const changed = await pupil('learn', ...told, '--shard', '2/2');
  assert.equal(changed.code, 2);
  assert.match(changed.err, /seed-3 was made from other images; choose/);
  for (const { err } of [other, changed]) assert.equal(err.match(/^pupil: /gm)?.length, 1, err);
  await kill(leader);
});
