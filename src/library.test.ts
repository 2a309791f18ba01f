import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { encodePng } from './image/decode.js';
import { imageOf, type Image } from './image/image.js';
import { Random } from './random.js';
import { temporaryFolder } from './testing/image-files.js';

const root = fileURLToPath(new URL('../', import.meta.url));

/** What the library is to be used like. */
const program = `
import { loadModel, train } from 'pupil';
import { randAugment, cutMix } from 'pupil/augment';
import { fixMatch } from 'pupil/techniques';

const run = train('photos', {
  model: 'backbone.onnx',
  epochs: 3,
  augment: [randAugment({ n: 2, m: 9 }), cutMix()],
  technique: fixMatch({ unlabelled: 'camera', threshold: 0.95 }),
  signal: AbortSignal.timeout(30 * 60_000),
});
for await (const event of run) if (event.type === 'epoch') console.log(event.epoch, event.loss);

const { val, model } = await run; // or only: const { val } = await train('photos', { epochs: 3 });
console.log(\`accuracy \${val.top1}\`);

await using classifier = await loadModel(model);
const { label, confidence } = await classifier.predict('photo.jpg');
const many = await classifier.predict(['a.jpg', 'b.jpg'], { views: 10 });
`;

/** Noise in one of two colours. */
function photo(red: boolean, index: number): Image {
  const random = new Random(0, 'photo', red ? 1 : 0, index);
  const data = new Uint8Array(32 * 32 * 3);
  for (let i = 0; i < data.length; i++) data[i] = (i % 3 === (red ? 0 : 2) ? 150 : 0) + random.integer(100);
  return imageOf(32, 32, data);
}

const skip = existsSync(join(root, 'dist/index.js')) ? false : 'needs npm run build';

test('techniques and augmentation as values, events and result of one run, prediction', { skip }, async (t) => {
  const folder = await temporaryFolder(t);
  const save = async (path: string, red: boolean, index: number): Promise<void> =>
    writeFileSync(join(folder, path), await encodePng(photo(red, index)));
  for (const path of ['photos/red', 'photos/blue', 'camera', 'node_modules'])
    mkdirSync(join(folder, path), { recursive: true });
  for (let i = 0; i < 10; i++) {
    await save(`photos/red/${i}.png`, true, i);
    await save(`photos/blue/${i}.png`, false, i);
    await save(`camera/${i}.png`, i % 2 === 0, 100 + i);
  }
  for (const [i, name] of ['photo', 'a', 'b'].entries()) await save(`${name}.jpg`, true, 200 + i);
  copyFileSync(join(root, 'fixtures/onnx/torchscript-17.onnx'), join(folder, 'backbone.onnx'));
  symlinkSync(root, join(folder, 'node_modules/pupil'), 'junction');
  const { outputText } = ts.transpileModule(`${program}\nconsole.log(label, confidence, many.length);`, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  writeFileSync(join(folder, 'program.mjs'), outputText);
  const { status, stdout, stderr } = spawnSync(process.execPath, ['program.mjs'], { cwd: folder, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  const lines = stdout.trim().split('\n');
  assert.match(lines[0]!, /^1 \d/);
  assert.ok(lines.some((line) => /^accuracy [\d.]+$/.test(line)));
  assert.match(lines.at(-1)!, /^red (0\.\d+|1) 2$/);
});
