import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { GraphBuilder } from '../graph/builder.js';
import { encodePng } from '../image/decode.js';
import type { Prediction } from '../index.js';
import { encodeGraph } from '../onnx/index.js';
import { train } from '../runs/train.js';
import { pupil } from '../testing/command-line.js';
import { blobs, blobTraining } from '../testing/blobs.js';
import { blob, temporaryFolder, writeTree } from '../testing/image-files.js';
import { useOwnCache } from '../testing/kit.js';

useOwnCache();

const encoder = fileURLToPath(new URL('../../fixtures/encoders/dinov2', import.meta.url));
const colours = ['red', 'green', 'blue'];

/** Images to learn from and images without labels, of each colour. */
interface Given {
  readonly labelled: readonly number[];
  readonly free?: readonly number[];
  /** Of the images without labels, those that have labels, too. */
  readonly copies?: number;
}

/** Writes the images of a row, and others of each colour to predict. */
async function writeImages(folder: string, { labelled, free = [0, 0, 0], copies = 0 }: Given): Promise<void> {
  const files: Record<string, Uint8Array> = {};
  let seed = 0;
  const add = async (place: string, of: number, count: number): Promise<void> => {
    for (let i = 0; i < count; i++) files[`${place}/${of}-${i}.png`] = await encodePng(blob(of, seed++, 150));
  };
  for (const [of, colour] of colours.entries()) {
    await add(`photos/${colour}`, of, labelled[of]!);
    await add('more', of, free[of]!);
    await add('unseen', of, 6);
  }
  for (let i = 0; i < copies; i++) files[`more/copy-${i}.png`] = files[`photos/green/1-${i}.png`]!;
  await writeTree(folder, files);
}

/** A classifier that has no layer in front of its scores. */
function writeBare(file: string): void {
  const builder = new GraphBuilder('no last layer');
  const pixels = builder.input('pixel_values', 'float32', ['N', 3, 12, 12]);
  const means = builder.op('Flatten', [builder.op('GlobalAveragePool', [pixels])], { axis: 1 });
  builder.outputs({ scores: builder.op('Softmax', [means], { axis: 1 }) });
  writeFileSync(file, encodeGraph(builder.build()));
}

interface Row {
  readonly what: string;
  readonly given: Given;
  /** The command, with paths below the folder of the row after `@`. */
  readonly told: string;
  /** A line of it, and its exit code. */
  readonly says: RegExp;
  readonly code?: 0 | 2;
}

const consensus = `--mode consensus --model ${encoder} --threads 1 --workers 0`;
const usual: Given = { labelled: [5, 5, 5], free: [10, 10, 10] };
const rows: readonly Row[] = [
  {
    what: 'one label of each class',
    given: { ...usual, labelled: [1, 1, 1] },
    told: `train @photos --unlabelled @more ${consensus}`,
    says: /one label per class.*count the same/,
  },
  {
    what: 'no images without labels',
    given: { labelled: [5, 5, 5] },
    told: `train @photos ${consensus}`,
    says: /no unlabelled images.*--unlabelled/,
  },
  {
    what: 'classes with too few labels for a fold',
    given: { ...usual, labelled: [5, 1, 1] },
    told: `train @photos --unlabelled @more ${consensus}`,
    says: /blue, green: one label, which is never held out/,
  },
  {
    what: 'images without labels that are all of one class',
    given: { ...usual, free: [0, 40, 0] },
    told: `train @photos --unlabelled @more ${consensus}`,
    says: /unlabelled images \(9\d%\) are taken for green, which 33% of the labels are[,:]/,
  },
  {
    what: 'images with and without a label',
    given: { ...usual, copies: 4 },
    told: `train @photos --unlabelled @more ${consensus}`,
    says: /4 unlabelled images with the content of a labelled one/,
  },
  {
    what: 'two teachers with different classes, of which features count',
    given: usual,
    told: `train @photos --unlabelled @more ${consensus} --teacher @red-blue --teacher ${encoder}`,
    says: /features.*images/,
  },
  {
    what: 'two teachers with different classes, whose answers count',
    given: usual,
    told: 'distill @photos --unlabelled @more --teacher @red-blue --teacher @all --student convnet-small --epochs 1',
    says: /red-blue.* does not know the class green of the data \(it knows red, blue\)/,
    code: 2,
  },
  {
    what: 'a teacher without features',
    given: usual,
    told: `train @photos --unlabelled @more ${consensus} --teacher @bare.onnx --teacher-normalize bytes`,
    says: /bare\.onnx: no features were found in front of its scores/,
    code: 2,
  },
  {
    what: 'a budget of seconds',
    given: usual,
    told: `learn @photos --unlabelled @more --model ${encoder} --minutes 0.02 --threads 1 --workers 0`,
    says: /would take at least|could not be tried|the time was up|takes longer/,
  },
];

test('what there is little of is told in a line, and what results is a sensible model', async (t) => {
  const root = await temporaryFolder(t);
  for (const [i, { what, given, told, says, code = 0 }] of rows.entries()) {
    const folder = join(root, String(i));
    await writeImages(folder, given);
    if (told.includes('@bare')) writeBare(join(folder, 'bare.onnx'));
    if (told.includes('@red-blue'))
      await train(blobs({ train: 20, val: 4 }, 150), { ...blobTraining, epochs: 3, out: join(folder, 'red-blue') });
    if (told.includes('@all'))
      await pupil('train', join(folder, 'photos'), ...consensus.split(' '), '--out', join(folder, 'all'));
    const words = told.split(' ').map((word) => (word.startsWith('@') ? join(folder, word.slice(1)) : word));
    const run = join(folder, 'run');
    const ended = await pupil(...words, '--out', run);
    assert.equal(ended.code, code, `${what}: ${ended.err}`);
    const lines = `${ended.out}\n${ended.err}`.split('\n');
    assert.ok(
      lines.some((line) => says.test(line)),
      `${what}: ${lines.join('\n')}`,
    );
    if (code !== 0) continue;
    const { out, err } = await pupil('predict', run, join(folder, 'unseen'), '--json');
    const { predictions } = JSON.parse(out) as { readonly predictions: readonly (Prediction & { path: string })[] };
    assert.equal(predictions.length, 18, err);
    const right = predictions.filter(({ path, label }) => label === colours[Number(/(\d)-\d\.png$/.exec(path)![1])]);
    assert.ok(right.length >= 10, `${what}: ${right.length} of 18 right, guessing gives 6`);
  }
});
