import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { encodePng } from '../image/decode.js';
import { pupil } from '../testing/command-line.js';
import { blob, temporaryFolder, writeTree } from '../testing/image-files.js';

const encoder = fileURLToPath(new URL('../../fixtures/encoders/dinov2', import.meta.url));

/** Red and blue images, eight to learn from and four to measure on of each. */
async function writeColours(root: string): Promise<string> {
  const files: Record<string, Uint8Array> = {};
  for (const [label, name] of ['blue', 'red'].entries())
    for (let i = 0; i < 12; i++)
      files[`${i < 8 ? 'train' : 'val'}/${name}/${i}.png`] = await encodePng(blob(2 - 2 * label, 100 * label + i, 150));
  await writeTree(root, files);
  return root;
}

test('a folder as transformers.js has it: a probe, whose model prepares images as the folder says', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await writeColours(join(folder, 'data'));
  const run = join(folder, 'run');
  const trained = await pupil('train', data, '--mode', 'probe', '--model', encoder, '--out', run);
  assert.equal(trained.code, 0, trained.err);
  assert.match(
    trained.err,
    /has no classifier; a new one reads 16 features of the output pooler_output; --features chooses another value/,
  );
  const inspected = await pupil('models', 'inspect', join(run, 'model.onnx'));
  assert.match(inspected.out, /32x32 of short side 36 \(bicubic\), \(x \/ 255 - \[0\.485, 0\.456, 0\.406\]\)/);
  const predicted = await pupil('predict', run, join(data, 'val/red/8.png'), '--json');
  assert.equal(predicted.code, 0, predicted.err);
  const [first] = (JSON.parse(predicted.out) as { predictions: { probabilities: object }[] }).predictions;
  assert.deepEqual(Object.keys(first!.probabilities).sort(), ['blue', 'red']);
});

test('an encoder predicts nothing by itself: the error says to train a classifier on it', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await writeColours(join(folder, 'data'));
  const { code, err } = await pupil('predict', encoder, join(data, 'val'));
  assert.equal(code, 2);
  assert.match(err, /an encoder, which has no classifier; train a probe on it first and give that run/);
});
