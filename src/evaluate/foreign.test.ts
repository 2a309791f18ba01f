import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { distinctLabels } from '../data/labels.js';
import type { Value } from '../graph/graph.js';
import { GraphBuilder } from '../graph/builder.js';
import { encodePng } from '../image/decode.js';
import { blank } from '../image/image.js';
import { encodeGraph } from '../onnx/index.js';
import { float32 } from '../tensor.js';
import { pupil } from '../testing/command-line.js';
import { refused } from '../testing/kit.js';
import { loadModel } from './load.js';

/** Classifiers that somebody else made. */

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'pupil-foreign-'));
});
after(() => rmSync(folder, { recursive: true }));

/** Writes a network of three scores for images of 4 x 4 pixels. */
function write(name: string, body: (b: GraphBuilder, x: Value) => Value, labels = ['a', 'b', 'c']): string {
  const b = new GraphBuilder(name);
  const x = b.input('x', 'float32', ['N', 3, 4, 4]);
  b.outputs({ logits: body(b, x) });
  const path = join(folder, `${name}.onnx`);
  writeFileSync(path, encodeGraph(b.build(), { metadata: { labels: JSON.stringify(labels) } }));
  return path;
}

const means = (b: GraphBuilder, x: Value): Value => b.op('ReduceMean', [x], { axes: [2, 3], keepdims: 0 });

test('classes of one name keep their own probabilities, under their numbers', async () => {
  const path = write('twice', (b, x) => b.op('Add', [means(b, x), b.constant(float32([3], [0, 1, 3]), 'bias')]), [
    'crane',
    'dog',
    'crane',
  ]);
  await using model = await loadModel(path, { normalize: 'unit' });
  assert.deepEqual(model.labels, ['crane (0)', 'dog', 'crane (2)']);
  const { label, confidence, probabilities } = await model.predict(blank(4, 4, [0, 0, 0]));
  assert.equal(label, 'crane (2)');
  const expected = [0, 1, 3].map((x) => Math.exp(x) / (1 + Math.E + Math.exp(3)));
  assert.deepEqual(
    Object.values(probabilities).map((p) => p.toFixed(5)),
    expected.map((p) => p.toFixed(5)),
  );
  assert.equal(confidence, probabilities['crane (2)']);
});

test('names are made distinct, whatever they are', () => {
  const rows: readonly [given: string[], distinct: string[]][] = [
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
    [
      ['a', 'a'],
      ['a (0)', 'a (1)'],
    ],
    [
      ['a', 'a', 'a (1)'],
      ['a (0)', "a (1)'", 'a (1)'],
    ],
    [
      ['', '', '__proto__', '__proto__'],
      [' (0)', ' (1)', '__proto__ (2)', '__proto__ (3)'],
    ],
  ];
  for (const [given, expected] of rows) assert.deepEqual(distinctLabels(given), expected);
});

test('what an engine cannot run of a network from a file is a mistake in the file: exit code 2', async () => {
  const path = write('outside', (b, x) => {
    const row = b.op('Cast', [b.op('Add', [b.op('ReduceMean', [x], { axes: [1, 2, 3], keepdims: 0 }), 1000])], {
      to: 7,
    });
    return b.op('Gather', [b.constant(float32([2, 3], [1, 2, 3, 4, 5, 6]), 'table'), row], { axis: 0 });
  });
  await using model = await loadModel(path, { normalize: 'unit', engine: 'ort' });
  await assert.rejects(
    model.predict(blank(4, 4, [9, 9, 9])),
    refused('bad-model', /^outside: ort cannot run this network \(.*export it again/),
  );
  const image = join(folder, 'image.png');
  writeFileSync(image, await encodePng(blank(4, 4, [9, 9, 9])));
  const { code, err } = await pupil('predict', path, image, '--normalize', 'unit', '--engine', 'ort');
  assert.equal(code, 2, err);
});
