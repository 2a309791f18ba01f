import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import * as native from 'pupil-onnxruntime';
import { exportModel } from '../artifact/export.js';
import { inputView, stack } from '../evaluate/classifier.js';
import { decode, encodePng } from '../image/decode.js';
import { imageOf } from '../image/image.js';
import { hubLabels, hubPreprocessing } from '../models/hub-config.js';
import { buildModel, resolveModel } from '../models/index.js';
import type { Model } from '../models/model.js';
import { Random } from '../random.js';
import { pupil } from '../testing/command-line.js';
import { temporaryFolder } from '../testing/image-files.js';
import { pixelValues } from '../web/planes.js';

const labels = ['cat', '<b>dog</b>', 'a "bird": # one'];
const model: Model = {
  ...buildModel('resnet8', { labels, seed: 3 }),
  temperature: 1.7,
  backbone: { name: 'someone/net', licence: 'apache-2.0' },
};
const { preprocessing } = model;

/** A folder with the model's file and some photos. */
async function prepare(t: Parameters<typeof temporaryFolder>[0], file = model): Promise<(name: string) => string> {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  await mkdir(at('photos'));
  const random = new Random(3, 'picture');
  for (let i = 0; i < 4; i++) {
    const pixels = Uint8Array.from({ length: 4800 }, () => random.integer(256));
    await writeFile(at(`photos/${i}.png`), await encodePng(imageOf(40, 40, pixels)));
  }
  const metrics = { test: { top1: 0.875, count: 40 } };
  await writeFile(at('model.onnx'), exportModel(file, { technique: 'finetune', mode: 'finetune', metrics }));
  return at;
}

const probabilitiesIn = (out: string): number[][] =>
  (JSON.parse(out) as { predictions: { probabilities: Record<string, number> }[] }).predictions.map((prediction) =>
    labels.map((label) => prediction.probabilities[label]!),
  );

const assertClose = (got: readonly (readonly number[])[], expected: readonly (readonly number[])[], by: number): void =>
  expected.forEach((row, i) =>
    row.forEach((p, c) => assert.ok(Math.abs(got[i]![c]! - p) < by, `image ${i}: ${got[i]![c]} for ${p}`)),
  );

/** What programs of the hub make of a file: softmax of its `logits` for prepared images. */
async function askAsHub(file: string, at: (name: string) => string): Promise<number[][]> {
  const session = await native.InferenceSession.create(file);
  const [height, width] = preprocessing.size;
  const view = inputView(preprocessing);
  const rows: number[][] = [];
  for (let i = 0; i < 4; i++) {
    const path = at(`photos/${i}.png`);
    const pixels = stack([view(await decode(await readFile(path), path))]);
    const values = pixelValues(pixels, preprocessing);
    const { logits } = await session.run({
      pixel_values: new native.Tensor('float32', values, [1, 3, height, width]),
    });
    const powers = [...(logits!.data as Float32Array)].map(Math.exp);
    rows.push(powers.map((power) => power / powers.reduce((a, b) => a + b)));
  }
  await session.release();
  return rows;
}

test('export --hub: a folder that programs of the hub and Pupil open, with the same answers', async (t) => {
  const at = await prepare(t);
  const made = await pupil('export', at('model.onnx'), '--hub', at('hub'));
  assert.equal(made.code, 0, made.err);
  assert.doesNotMatch(made.err, /warning/);
  assert.match(made.out, /hf upload/);
  assert.deepEqual((await readdir(at('hub'), { recursive: true })).sort(), [
    ...['README.md', 'config.json', 'onnx', 'onnx/model.onnx', 'preprocessor_config.json'],
  ]);
  const read = async (name: string): Promise<unknown> => JSON.parse(await readFile(at(`hub/${name}`), 'utf8'));
  const config = await read('config.json');
  assert.deepEqual(hubLabels(config), labels);
  assert.deepEqual((config as { label2id: object }).label2id, Object.fromEntries(labels.map((label, i) => [label, i])));
  assert.deepEqual(hubPreprocessing(await read('preprocessor_config.json'), config), preprocessing);

  const own = probabilitiesIn((await pupil('predict', at('model.onnx'), at('photos'), '--json')).out);
  const opened = probabilitiesIn((await pupil('predict', at('hub'), at('photos'), '--json')).out);
  assert.equal(own.length, 4);
  assertClose(opened, own, 1e-5);
  assertClose(await askAsHub(at('hub/onnx/model.onnx'), at), own, 1e-4);
  const trainable = await resolveModel(at('hub'), { labels: ['a', 'b'] });
  assert.equal(trainable.head?.classes, 2);
  assert.deepEqual(trainable.backbone, model.backbone);
  assert.equal((await resolveModel(at('hub'))).temperature, 1);
});

test('export --hub: the card has what was measured and the licence, the smaller file stands beside', async (t) => {
  const at = await prepare(t);
  const made = await pupil('export', at('model.onnx'), '--hub', at('hub'), '--int8', at('photos'));
  assert.equal(made.code, 0, made.err);
  const own = probabilitiesIn((await pupil('predict', at('model.onnx'), at('photos'), '--json')).out);
  assertClose(await askAsHub(at('hub/onnx/model.onnx'), at), own, 1e-4);
  assertClose(await askAsHub(at('hub/onnx/model_quantized.onnx'), at), own, 0.1);
  const card = await readFile(at('hub/README.md'), 'utf8');
  const [, head, body] = /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(card)!;
  assert.match(head!, /^license: apache-2\.0$/m);
  assert.match(head!, /^pipeline_tag: image-classification$/m);
  assert.match(head!, /^base_model: someone\/net$/m);
  assert.match(head!, / {10}- type: accuracy\n {12}value: 0\.8750$/m);
  assert.match(body!, /someone\/net, has the licence apache-2\.0, which also holds for this model/);
  assert.match(body!, /Accuracy 87\.5% \(95% interval 73\.9 to 94\.5%\) on 40 test images/);
  assert.match(body!, /pipeline\('image-classification', 'OWNER\/hub'/);
  assert.match(body!, /dtype: 'q8'/);
  assert.match(body!, /resolve\/main\/onnx\/model\.onnx'\)/);
  assert.doesNotMatch(body!, /<b>/);
});

test('a licence that is unknown is said so, one that the source states stands', async (t) => {
  const at = await prepare(t, { ...model, backbone: { name: 'net.onnx', licence: null } });
  const unknown = await pupil('export', at('model.onnx'), '--hub', at('unknown'));
  assert.match(unknown.err, /the licence of net\.onnx is unknown; state it with --licence/);
  assert.match(await readFile(at('unknown/README.md'), 'utf8'), /^license: unknown$/m);
  const told = await pupil('export', at('model.onnx'), '--hub', at('told'), '--licence', 'mit');
  assert.equal(told.err, '');
  assert.match(await readFile(at('told/README.md'), 'utf8'), /^license: mit$/m);
  assert.deepEqual((await resolveModel(at('told'))).backbone, { name: 'net.onnx', licence: 'mit' });
  const other = await pupil('export', at('told'), '--hub', at('other'), '--licence', 'apache-2.0');
  assert.deepEqual([other.code, /states the licence mit; leave --licence out/.test(other.err)], [2, true]);
  const both = await pupil('export', at('told'), '--hub', at('other'), '--out', at('other.onnx'));
  assert.deepEqual([both.code, /one of --out, --web and --hub/.test(both.err)], [2, true], both.err);
  const again = await pupil('export', at('told'), '--hub', at('told'));
  assert.deepEqual([again.code, /told already exists; choose another --hub/.test(again.err)], [2, true]);
});

test('the licences of teachers stand on the card, in its heading, and on an exported page', async (t) => {
  const teachers = [
    { name: 'someone/large', licence: 'cc-by-nc-4.0' },
    { name: 'old.onnx', licence: null },
  ];
  const at = await prepare(t, { ...model, teachers });
  const made = await pupil('export', at('model.onnx'), '--hub', at('hub'));
  assert.match(made.err, /the licence of old\.onnx, which it learned from, is unknown/);
  const card = await readFile(at('hub/README.md'), 'utf8');
  assert.match(card, /^license: other\nlicense_name: "apache-2\.0 and cc-by-nc-4\.0 and unknown"$/m);
  assert.match(card, /learned from someone\/large, which has the licence cc-by-nc-4\.0/);
  assert.match(card, /learned from old\.onnx, whose licence is unknown/);
  assert.deepEqual((await resolveModel(at('hub'))).teachers, teachers);
  await pupil('export', at('hub'), '--web', at('page'));
  const { origins } = JSON.parse(await readFile(at('page/about.json'), 'utf8')) as { origins: unknown };
  assert.deepEqual(origins, [model.backbone, ...teachers]);
});
