import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodePng } from '../image/decode.js';
import { blob, temporaryFolder, writeTree } from '../testing/image-files.js';
import { createForecasts } from './forecasts.js';

test('windows that ask the same share the answer; one that asks something else ends what is under way', async (t) => {
  const folder = await temporaryFolder(t);
  const names = ['red', 'green'].flatMap((name) => [1, 2, 3, 4].map((i) => `${name}-${i}.png`));
  await writeTree(
    folder,
    Object.fromEntries(
      await Promise.all(names.map(async (name, i) => [name, await encodePng(blob(i < 4 ? 0 : 1, i))] as const)),
    ),
  );
  const places: string[] = [];
  let begin: () => void;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const listIn = async (place: string): Promise<string> => {
    places.push(place);
    begin();
    const file = join(place, 'labels.csv');
    await writeFile(
      file,
      `path,label\n${names.map((name) => `${join(folder, name)},${name.split('-')[0]!}\n`).join('')}`,
    );
    return file;
  };
  const forecasts = createForecasts();
  const ask = (epochs: number): Promise<number> =>
    forecasts.of({ command: 'train', options: { mode: 'scratch', model: 'resnet8', epochs } }, 'labels 1', listIn);
  const long = assert.rejects(ask(1000), { code: 'interrupted' });
  await begun;
  const [one, same] = await Promise.all([ask(10), ask(10)]);
  await long;
  assert.equal(one, same);
  assert.ok(one > 0 && Number.isFinite(one), `${one} s`);
  assert.equal(await ask(10), one, 'it is remembered');
  assert.equal(places.length, 2);
  await assert.rejects(
    forecasts.of({ command: 'train', options: { mode: 'probe', model: 'nothing.onnx' } }, 'labels 1', listIn),
    /nothing\.onnx/,
  );
  await forecasts.stop();
  assert.deepEqual(
    places.filter((place) => existsSync(place)),
    [],
  );
});
