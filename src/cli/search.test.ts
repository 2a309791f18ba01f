import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { SearchResult } from '../jobs/search/outcome.js';
import { pupil } from '../testing/command-line.js';
import { temporaryFolder, writeTree } from '../testing/image-files.js';
import { createSearchView } from './commands/search.js';

const main = fileURLToPath(new URL('./main.js', import.meta.url));

const refused: readonly (readonly [argv: string, says: RegExp])[] = [
  ['search', /search needs DATA/],
  ['search photos --space gird', /--space takes one of grid, policies, got "gird"; did you mean grid\?/],
  ['search photos --n 1,two', /--n takes a list such as 1,2,3, each a whole number from 1 to 16, got "1,two"/],
  ['search photos --n=', /--n takes a list such as 1,2,3/],
  ['search photos --m 40', /--m takes a list .* whole number from 0 to 30, got "40"/],
  ['search photos --scale tim', /--scale takes one of torchvision, .*did you mean timm\?/],
  ['search photos --augment basic', /--augment: a search finds that itself/],
  ['search photos --patience 3', /--patience: every training of a search/],
  ['search photos --mode probe', /--mode probe/],
  ['search photos --seeds 0', /--seeds takes a whole number of at least 1/],
  ['search photos --eta 1', /--eta takes a whole number of at least 2/],
  ['search no-such-folder', /no-such-folder: /],
  ['search --resume no-such-run', /no-such-run is no run folder/],
];
for (const [argv, says] of refused) {
  test(`refused in one line: pupil ${argv}`, async () => {
    const { code, out, err } = await pupil(...argv.split(' '));
    assert.equal(code, 2, err);
    assert.equal(out, '');
    assert.equal(err.trimEnd().split('\n').length, 1, err);
    assert.match(err, says);
  });
}

test('Ctrl-C saves what was measured and exits 130; --resume goes on with its own options', async (t) => {
  const folder = await temporaryFolder(t);
  const names = ['a', 'b'].flatMap((label, l) =>
    Array.from({ length: 24 }, (_, i) => [`data/${i < 16 ? 'train' : 'val'}/${label}/${i}.png`, 100 * l + i] as const),
  );
  await writeTree(folder, Object.fromEntries(names));
  const out = join(folder, 'run'),
    data = join(folder, 'data');
  const options = [
    '--mode',
    'scratch',
    '--model',
    'convnet-small',
    '--size',
    '16',
    '--epochs',
    '4',
    '--batch-size',
    '8',
    '--threads',
    '1',
    '--workers',
    '1',
    '--n',
    '1,2',
    '--m',
    '9',
    '--no-halving',
  ];
  const child = spawn(process.execPath, [main, 'search', data, ...options, '--out', out], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (/^1\/6 /m.test((err += text)) && !child.killed) child.kill('SIGINT');
  });
  assert.equal(await new Promise((resolve) => child.on('close', resolve)), 130, err);
  assert.match(err, /pupil: interrupted; continue with pupil search --resume .*run/);
  assert.ok((await stat(join(out, 'search.json'))).size > 0);

  assert.match(
    (await pupil('search', '--resume', out, '--epochs', '3')).err,
    /continues with its own options: --epochs was 4, not 3/,
  );
  assert.match((await pupil('train', '--resume', out)).err, /is a run of pupil search, not of pupil train/);
  const { code, out: printed, err: shown } = await pupil('search', '--resume', out, '--json', '--workers', '0');
  assert.equal(code, 0, shown);
  const result = JSON.parse(printed) as SearchResult;
  assert.deepEqual(Object.keys(result), [
    'schema',
    'run',
    'space',
    'cells',
    'best',
    'baseline',
    'recommended',
    'verdict',
    'command',
    'rungs',
    'trainings',
    'seconds',
  ]);
  assert.deepEqual(result.trainings, { done: 6, planned: 6 });
  assert.equal(result.space, 'grid');
  assert.deepEqual(
    result.cells.map(({ policy, n, m }) => `${policy} ${n} ${m}`).sort((a, b) => (a < b ? -1 : 1)),
    ['basic undefined undefined', 'randaugment:n=1,m=9 1 9', 'randaugment:n=2,m=9 2 9'],
  );
  assert.match(shown, /^6\/6 {2}.*seed 1: \d/m);
  const report = await pupil('report', out);
  assert.equal(report.code, 0, report.err);
  assert.match(await readFile(join(out, 'report.html'), 'utf8'), /Heat map/);
  const text = await pupil('search', '--resume', out, '--workers', '0');
  assert.match(text.out, /policy +epochs +accuracy/);
  assert.ok(text.out.includes(result.verdict), text.out);
  assert.equal(/\npupil train .* --augment \S+\n$/.test(text.out), result.recommended !== null, text.out);
});

test('the bar counts the steps of all trainings and says which cell is trained', () => {
  const told: string[] = [];
  const view = createSearchView({
    phase: (name, total, unit, done) => told.push(`phase ${name} ${total} ${unit} ${done}`),
    update: (done, words) => told.push(`${done} ${words?.join(', ')}`),
    note: (line) => told.push(line),
    end: () => undefined,
  });
  const progress = {
    policy: 'basic',
    rung: 1,
    rungs: 2,
    seed: 0,
    done: 0,
    planned: 4,
    epochsDone: 0,
    epochsPlanned: 8,
    best: undefined,
  } as const;
  const start = { type: 'start', epochs: 1, stepsPerEpoch: 5, totalSteps: 5, step: 0 } as const;
  const step = {
    type: 'step',
    epoch: 1,
    step: 3,
    totalSteps: 5,
    loss: 1,
    accuracy: 0.5,
    metrics: {},
    learningRate: 1,
    imagesPerSecond: 1,
  } as const;
  view({ type: 'cell', ...progress, epochs: 1 });
  view(start);
  view(step);
  view({ type: 'cell-done', ...progress, done: 1, epochsDone: 1, top1: 0.5, loss: 1.25, seconds: 2 });
  view({
    type: 'cell',
    ...progress,
    policy: 'trivial',
    done: 1,
    epochsDone: 1,
    best: { policy: 'basic', top1: 0.5 },
    epochs: 1,
  });
  view(start);
  view(step);
  view({ type: 'halving', rung: 1, rungs: 2, epochs: 1, kept: ['trivial', 'basic'], dropped: 3 });
  assert.deepEqual(told, [
    'phase search 40 steps 0',
    '3 rung 1/2, basic seed 0',
    '1/4  rung 1/2, basic, seed 0: 50.0%, loss 1.250, 2.0 s',
    '8 rung 1/2, trivial seed 0, best basic 50.0%',
    'rung 1 of 2 is done: trivial, basic go on, 3 stopped early',
  ]);
});
