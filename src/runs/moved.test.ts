import assert from 'node:assert/strict';
import { cp, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { encodePng } from '../image/decode.js';
import { blobTraining } from '../testing/blobs.js';
import { blob, temporaryFolder } from '../testing/image-files.js';
import { placeNow } from './moved.js';
import { train } from './train.js';

async function writePhotos(root: string, classes = ['red', 'green', 'blue'].slice(0, 2)): Promise<void> {
  for (const [channel, name] of classes.entries())
    for (const [split, count] of [
      ['train', 8],
      ['val', 3],
    ] as const) {
      await mkdir(join(root, split, name), { recursive: true });
      for (let i = 0; i < count; i++) {
        const image = blob(channel, 10 * channel + i + (split === 'val' ? 100 : 0));
        await writeFile(join(root, split, name, `${i}.png`), await encodePng(image));
      }
    }
}

const training = { ...blobTraining, engine: 'ort' as const, epochs: 3, preview: false };
const written = ['model.onnx', 'evaluation.json', 'selection.json'];
const filesOf = (run: string): Promise<Buffer[]> => Promise.all(written.map((name) => readFile(join(run, name))));

test('a run goes on from another place, and what was added since is refused with what learns it', async (t) => {
  const home = await temporaryFolder(t);
  const before = process.cwd();
  t.after(() => process.chdir(before));
  const folder = join(home, 'project');
  await writePhotos(join(folder, 'photos'));
  process.chdir(folder);
  await train('photos', { ...training, out: 'whole' });
  const stop = new AbortController();
  const interrupted = train('photos', { ...training, out: 'runs/a', signal: stop.signal });
  await assert.rejects(
    async () => {
      for await (const event of interrupted) if (event.type === 'step' && event.step === 6) stop.abort();
      await interrupted;
    },
    { code: 'interrupted' },
  );
  await cp(join(folder, 'runs/a'), join(folder, 'runs/b'), { recursive: true });
  const whole = await filesOf('whole');
  process.chdir(home);

  // Its photos alone are in another place.
  await rename(join(folder, 'photos'), join(home, 'pictures'));
  await assert.rejects(async () => train(undefined, { resume: join(folder, 'runs/b') }), { code: 'not-found' });
  await train('pictures', { resume: join(folder, 'runs/b') });
  assert.deepEqual(await filesOf(join(folder, 'runs/b')), whole);
  await rename(join(home, 'pictures'), join(folder, 'photos'));

  // All is in another place, as on another machine.
  const moved = join(home, 'another', 'place');
  await mkdir(join(home, 'another'));
  await rename(folder, moved);
  await train(undefined, { resume: join(moved, 'runs/a') });
  assert.deepEqual(await filesOf(join(moved, 'runs/a')), whole);

  const photos = join(moved, 'photos'),
    learned = join(moved, 'whole');
  await writePhotos(photos, ['red', 'green', 'blue']);
  await assert.rejects(async () => train(undefined, { resume: learned }), {
    code: 'bad-data',
    message: /changed since .*whole began.*train a new run.*with `model: .*whole`/,
  });
  const more = { ...training, mode: 'finetune' as const, model: learned, size: undefined, out: join(moved, 'more') };
  const { val } = await train(photos, more);
  assert.deepEqual(Object.keys(val!.perClass), ['blue', 'green', 'red']);
});

test('what a run names is found where it is', async (t) => {
  const home = await temporaryFolder(t);
  await mkdir(join(home, 'new/project/photos'), { recursive: true });
  await mkdir(join(home, 'old/elsewhere'), { recursive: true });
  const run = join(home, 'new/project/runs/a');
  const begun = { folder: join(home, 'old/project'), run: join(home, 'old/project/runs/a') };
  for (const [named, is] of [
    ['photos', join(home, 'new/project/photos')],
    [join(home, 'old/project/photos'), join(home, 'new/project/photos')],
    ['../elsewhere', join(home, 'old/elsewhere')],
    [join(home, 'old/elsewhere'), join(home, 'old/elsewhere')],
    ['resnet8', 'resnet8'],
    ['hf:timm/photos', 'hf:timm/photos'],
    ['gone', 'gone'],
    [resolve('/gone/photos'), resolve('/gone/photos')],
  ] as const)
    assert.equal(placeNow(named, begun, run), is);
  assert.equal(placeNow('photos', undefined, run), 'photos');
});
