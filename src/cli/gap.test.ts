import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { exportModel } from '../artifact/export.js';
import { brightness } from '../image/colour.js';
import { decode, encodePng } from '../image/decode.js';
import { buildModel } from '../models/index.js';
import type { GapResult } from '../artifact/gap-formats.js';
import { pupil } from '../testing/command-line.js';
import { noise, noisePng, temporaryFolder, writeTree } from '../testing/image-files.js';

/**
 * Two classes of noise, real images of other noise (one is a training image, one is broken), and a
 * small backbone.
 */
async function files(t: TestContext): Promise<{ at: (name: string) => string; model: string }> {
  const folder = await temporaryFolder(t);
  await writeTree(folder, {
    ...Object.fromEntries(
      Array.from({ length: 8 }, (_, i) => [
        [`data/train/a/${i}.png`, i],
        [`data/train/b/${i}.png`, 20 + i],
      ]).flat(),
    ),
    ...Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`real/one, "two"/${i}.png`, 50 + i])),
    'real/copy.png': 3,
    'real/again.png': 50,
    'real/cut.png': (await noisePng(70)).subarray(0, 900),
    'few/a.png': 60,
    'few/b.png': 61,
    'same/a.png': 3,
    'empty': null,
    'valonly/val/a/x.png': 1,
    'bad.json': '{"steps": [{"name": "rotat"}]}',
    'good.json': '{"base": "none", "steps": [{"name": "invert"}]}',
  });
  const model = join(folder, 'backbone.onnx');
  writeFileSync(model, exportModel(buildModel('convnet-small', { classes: 5, seed: 1, inputSize: 24 }), {}));
  return { at: (name) => join(folder, name), model };
}

test('pupil gap measures policies, names the least covered, and writes a folder that shows it', async (t) => {
  const { at, model } = await files(t);
  const run = at('run');
  const measured = await pupil(
    'gap',
    at('data'),
    '--real',
    at('real'),
    '--model',
    model,
    '--augment',
    'basic',
    '--augment',
    at('good.json'),
    '--draws',
    '1',
    '--neighbours',
    '3',
    '--top',
    '4',
    '--workers',
    '0',
    '--out',
    run,
    '--json',
  );
  assert.equal(measured.code, 0, measured.err);
  assert.match(measured.err, /cut\.png/);
  assert.match(measured.err, /skipped, for they are training images too: 1 real image/);
  assert.match(measured.err, /counted once: 1 image /);
  const result = JSON.parse(measured.out) as GapResult;
  assert.equal(result.run, run);
  assert.deepEqual([result.train.count, result.real.count], [16, 9]);
  assert.deepEqual(
    result.policies.map(({ augment }) => augment),
    ['none', 'basic', at('good.json')],
  );
  for (const { coverage, density, mmd, interval } of result.policies) {
    assert.ok(coverage >= 0 && coverage <= 1 && density >= 0 && Number.isFinite(mmd) && interval > 0);
  }
  assert.equal(result.map, 'gap.png');
  assert.equal(result.least.length, 4);
  assert.ok(
    result.least.every(
      ({ path, score }, i) => path.includes('one, "two"') && score <= (result.least[i - 1]?.score ?? Infinity),
    ),
  );

  const lines = readFileSync(join(run, 'least-covered.csv'), 'utf8').trimEnd().split('\n');
  assert.equal(lines.length, 1 + 9);
  assert.ok(lines[1]!.startsWith(`"${result.least[0]!.path.replaceAll('"', '""')}",`), lines[1]);
  const saved = JSON.parse(readFileSync(join(run, 'gap.json'), 'utf8')) as GapResult;
  assert.deepEqual(saved.policies, result.policies);
  assert.ok((await decode(readFileSync(join(run, 'gap.png')), 'gap.png')).width > 600);
  const report = readFileSync(join(run, 'report.html'), 'utf8');
  assert.match(report, /Label these next/);
  assert.doesNotMatch(report, /NaN|undefined|<script/);
  assert.equal((await pupil('report', run)).code, 0);
  assert.equal(readFileSync(join(run, 'report.html'), 'utf8'), report, 'the page can be made again');

  const { code, out } = await pupil(
    'gap',
    at('data'),
    '--real',
    at('real'),
    '--model',
    model,
    '--augment',
    'basic',
    '--augment',
    at('good.json'),
    '--draws',
    '1',
    '--neighbours',
    '3',
    '--top',
    '4',
    '--workers',
    '2',
    '--out',
    at('again'),
  );
  assert.equal(code, 0);
  assert.match(out, /^none +\d/m);
  assert.match(out, /label these next/);
  const again = JSON.parse(readFileSync(join(at('again'), 'gap.json'), 'utf8')) as GapResult;
  assert.deepEqual(
    { ...again, run, seconds: 0 },
    { ...saved, seconds: 0 },
    'a seed gives the same numbers and map, whatever the workers',
  );
});

test('a gap that was made by darkening is closed by darkening, and not by its opposite', async (t) => {
  const { at, model } = await files(t);
  await writeTree(at(''), {
    ...Object.fromEntries(
      await Promise.all(
        Array.from(
          { length: 12 },
          async (_, i) => [`dark/${i}.png`, await encodePng(brightness(noise(100 + i), 0.4))] as const,
        ),
      ),
    ),
    'darken.json': '{"base": "none", "steps": [{"name": "brightness", "range": [0.35, 0.45]}]}',
    'brighten.json': '{"base": "none", "steps": [{"name": "brightness", "range": [1.5, 1.5]}]}',
  });
  const { code, out, err } = await pupil(
    'gap',
    at('data'),
    '--real',
    at('dark'),
    '--model',
    model,
    '--augment',
    at('darken.json'),
    '--augment',
    at('brighten.json'),
    '--workers',
    '0',
    '--out',
    at('run'),
    '--json',
  );
  assert.equal(code, 0, err);
  const [none, darken, brighten] = (JSON.parse(out) as GapResult).policies;
  assert.ok(none!.mmd > none!.interval && none!.coverage < 0.1, JSON.stringify(none));
  assert.ok(darken!.closes! > 0.9 && darken!.coverage > 0.5, JSON.stringify(darken));
  assert.ok(brighten!.closes! < 0, JSON.stringify(brighten));
});

test('a seeded choice of at most --limit images', async (t) => {
  const { at, model } = await files(t);
  const { code, out, err } = await pupil(
    'gap',
    at('data'),
    '--real',
    at('real/one, "two"'),
    '--model',
    model,
    '--augment',
    'light',
    '--draws',
    '2',
    '--limit',
    '7',
    '--neighbours',
    '2',
    '--workers',
    '0',
    '--out',
    at('run'),
    '--json',
  );
  assert.equal(code, 0, err);
  const { train, real } = JSON.parse(out) as GapResult;
  assert.deepEqual([train.count, train.found, real.count, real.found], [7, 16, 7, 9]);
  assert.match(err, /using 7 of 16 training images/);
});

test('mistakes are one line each', async (t) => {
  const { at, model } = await files(t);
  const rows: [what: string, argv: string[], says: RegExp][] = [
    ['no --real', [at('data'), '--model', model], /gap needs --real/],
    ['no such real', [at('data'), '--real', at('nowhere'), '--model', model], /nowhere/],
    ['no images', [at('data'), '--real', at('empty'), '--model', model], /no images/],
    ['no data', [at('empty'), '--real', at('real'), '--model', model], /no images found/],
    ['nothing to train on', [at('valonly'), '--real', at('real'), '--model', model], /no training images/],
    [
      'too few for k',
      [at('data'), '--real', at('few'), '--model', model],
      /2 images, but at least 6 are needed for --neighbours 5/,
    ],
    [
      'training images only',
      [at('data'), '--real', at('same'), '--model', model],
      /every image there is a training image/,
    ],
    [
      'an unknown policy',
      [at('data'), '--real', at('real'), '--model', model, '--augment', 'randaugmnt'],
      /randaugment/,
    ],
    [
      'a policy file with a mistake',
      [at('data'), '--real', at('real'), '--model', model, '--augment', at('bad.json')],
      /rotate/,
    ],
    ['an untrained network', [at('data'), '--real', at('real'), '--model', 'resnet18'], /no trained weights/],
    ['no such model', [at('data'), '--real', at('real'), '--model', at('none.onnx')], /none\.onnx/],
    ['a model without that head', [at('data'), '--real', at('real'), '--model', model, '--head', 'nothing'], /nothing/],
    [
      'a folder that is taken',
      [at('data'), '--real', at('real'), '--model', model, '--out', at('data')],
      /already exists; choose another/,
    ],
    ['no draws', [at('data'), '--real', at('real'), '--model', model, '--draws', '0'], /--draws/],
  ];
  for (const [what, argv, says] of rows) {
    const { code, err } = await pupil('gap', ...argv);
    assert.equal(code, 2, `${what}: ${err}`);
    assert.match(err, says, what);
    assert.equal(
      err
        .trimEnd()
        .split('\n')
        .filter((line) => line.startsWith('pupil: ')).length,
      1,
      what,
    );
  }
});
