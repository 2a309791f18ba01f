import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { encodePng } from './image/decode.js';
import { imageOf, type Image } from './image/image.js';
import { Random } from './random.js';

const root = fileURLToPath(new URL('../', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const blocks = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, code]) => ({
  language,
  code: code!,
}));

/** Noise in one of two colours. */
function photo(red: boolean, index: number): Image {
  const random = new Random(0, 'photo', red ? 1 : 0, index);
  const data = new Uint8Array(48 * 40 * 3);
  for (let i = 0; i < data.length; i++) data[i] = (i % 3 === (red ? 0 : 2) ? 150 : 0) + random.integer(100);
  return imageOf(48, 40, data);
}

const skip = existsSync(join(root, 'dist/index.js')) ? false : 'needs npm run build';

test("the README's library example runs as it stands", { skip, timeout: 120_000 }, async () => {
  const example = blocks.find(({ language, code }) => language === 'js' && code.includes("from 'pupil'"))!.code;
  assert.ok(
    example
      .trim()
      .split('\n')
      .filter((line) => line !== '').length <= 10,
    'it should be ten lines',
  );
  const folder = mkdtempSync(join(tmpdir(), 'pupil-readme-'));
  try {
    for (const name of ['red', 'blue']) {
      mkdirSync(join(folder, 'photos', name), { recursive: true });
      for (let i = 0; i < 12; i++)
        writeFileSync(join(folder, 'photos', name, `${i}.png`), await encodePng(photo(name === 'red', i)));
    }
    writeFileSync(join(folder, 'photo.jpg'), await encodePng(photo(true, 99)));
    copyFileSync(join(root, 'fixtures/onnx/torchscript-17.onnx'), join(folder, 'backbone.onnx'));
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(root, join(folder, 'node_modules/pupil'), 'junction');
    writeFileSync(join(folder, 'example.mjs'), example);
    const { status, stdout, stderr } = spawnSync(process.execPath, ['example.mjs'], { cwd: folder, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /epoch 3: loss \d/);
    assert.match(stdout, /accuracy [\d.]+, saved as .*model\.onnx/);
    assert.match(stdout, /^red (1|0\.\d+)$/m);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('the first screen shows the two commands of a fresh machine', () => {
  const screen = readme.split('\n').slice(0, 24).join('\n');
  for (const command of ['npm ci && npm run demo', 'npm ci && npm test']) assert.ok(screen.includes(command), command);
});
