import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { encodePng } from './image/decode.js';
import { blob, temporaryFolder } from './testing/image-files.js';

const root = fileURLToPath(new URL('../', import.meta.url));
const platform = `${process.platform}-${process.arch}`;

/** Runtimes: the package that npm has of each, its program in there, and what comes before a script. */
const runtimes = [
  { name: 'Node 20', package: `node-${platform}@20`, program: 'bin/node', options: [] },
  { name: 'Node 22', package: `node-${platform}@22`, program: 'bin/node', options: [] },
  { name: 'Node 24', package: `node-${platform}@24`, program: 'bin/node', options: [] },
  {
    name: 'Deno',
    package: '@deno/linux-x64-glibc',
    program: 'deno',
    options: ['run', '--allow-all', '--node-modules-dir=manual'],
  },
  { name: 'Bun', package: '@oven/bun-linux-x64', program: 'bin/bun', options: [] },
] as const;

/** Trains, loops over the events, predicts with what came out, in a worker's and an engine's thread. */
const program = `
import { loadModel, train } from 'pupil';
import { cutMix } from 'pupil/augment';

const options = { mode: 'scratch', model: 'convnet-small', size: 16, batchSize: 8, folds: 0, threads: 1, workers: 1 };
const run = train('photos', { ...options, epochs: 2, augment: [cutMix()], out: process.argv[2] });
const epochs = [];
for await (const event of run) if (event.type === 'epoch') epochs.push(event.epoch);
const { model } = await run;
const classifier = await loadModel(model);
const { label } = await classifier.predict('photos/red/0.png');
await classifier.close();
console.log(JSON.stringify({ epochs, label }));
`;

const skip = !existsSync(join(root, 'dist/index.js'))
  ? 'needs npm run build'
  : platform !== 'linux-x64'
    ? 'hardware: the runtimes are those for Linux on x64'
    : process.env['PUPIL_NO_SKIPS'] === undefined
      ? 'needs PUPIL_NO_SKIPS=1 and the network: downloads Node, Deno and Bun'
      : false;

for (const [i, { name, package: specifier, program: path, options }] of runtimes.entries()) {
  test(`${name} trains and predicts`, { skip }, async (t) => {
    const folder = await temporaryFolder(t);
    writeFileSync(join(folder, 'package.json'), '{}');
    const npm = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--silent', `runtime@npm:${specifier}`];
    const installed = spawnSync('npm', npm, { cwd: folder, encoding: 'utf8' });
    assert.equal(installed.status, 0, installed.stderr || installed.stdout);
    symlinkSync(root, join(folder, 'node_modules/pupil'), 'junction');
    for (const [label, colour] of ['red', 'blue'].entries()) {
      mkdirSync(join(folder, 'photos', colour), { recursive: true });
      for (let k = 0; k < 8; k++)
        writeFileSync(join(folder, 'photos', colour, `${k}.png`), await encodePng(blob(2 * label, k)));
    }
    writeFileSync(join(folder, 'program.mjs'), program);
    const runtime = join(folder, 'node_modules/runtime', path);
    const run = [...options, 'program.mjs', `run-${i}`];
    const { status, stdout, stderr } = spawnSync(runtime, run, { cwd: folder, encoding: 'utf8', timeout: 120_000 });
    assert.equal(status, 0, stderr);
    const { epochs, label } = JSON.parse(stdout) as { epochs: number[]; label: string };
    assert.deepEqual(epochs, [1, 2]);
    assert.ok(label === 'red' || label === 'blue');
    assert.doesNotMatch(stderr, /error/i);
    if (name !== 'Deno') return;
    const cli = [...options, 'node_modules/pupil/dist/cli/main.js', 'predict', `run-${i}`, 'photos/red/0.png'];
    for (const [allowed, status] of [
      ['--allow-all', 0],
      ['--no-prompt', 2],
    ] as const) {
      const told = cli.map((word) => (word === '--allow-all' ? allowed : word));
      const ended = spawnSync(runtime, told, { cwd: folder, encoding: 'utf8', timeout: 60_000 });
      assert.equal(ended.status, status, ended.stderr);
      assert.match(ended.stderr, status === 0 ? /^$/ : /^pupil: .*pupil needs deno run --allow-all\n$/);
    }
  });
}
