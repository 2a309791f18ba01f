import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { decode, encodePng, loadCodec } from '../image/decode.js';
import { pupil as commandLine, type Captured } from '../testing/command-line.js';
import { noise, noisePng, temporaryFolder, writeTree } from '../testing/image-files.js';

const pupil = (...argv: string[]): Promise<Captured> => commandLine('augment', ...argv);

interface Result {
  file: string;
  width: number;
  height: number;
  kind: string;
  rows: { image: string; draws?: unknown[] }[];
}

/** Runs it with --json and checks that the picture is there, with the size that is told. */
async function drawn(...argv: string[]): Promise<Result> {
  const { code, out, err } = await pupil(...argv, '--json');
  assert.equal(code, 0, err);
  const result = JSON.parse(out) as Result;
  const { width, height } = await decode(readFileSync(result.file), result.file);
  assert.deepEqual([result.width, result.height], [width, height]);
  return result;
}

async function photos(t: TestContext): Promise<string> {
  const folder = await temporaryFolder(t);
  await writeTree(folder, {
    'photo.png': await noisePng(1, 40, 30),
    ...Object.fromEntries(
      [0, 1, 2, 3].flatMap((i) => [
        [`set/train/ants/${i}.png`, i],
        [`set/train/bees/${i}.png`, 10 + i],
      ]),
    ),
    'set/train/bees/cut.png': (await noisePng(40)).subarray(0, 900),
    'flat/a.png': 3,
    'flat/b.png': 4,
    'text.jpg': 'no image',
    'empty': null,
    'bad.json': '{"steps": [{"name": "rotat"}]}',
  });
  return folder;
}

test('pupil augment draws ops, one op, policies and mixed batches', async (t) => {
  const folder = await photos(t);
  const photo = join(folder, 'photo.png'),
    set = join(folder, 'set');
  let count = 0;
  const out = (): string[] => ['--out', join(folder, `sheet ${++count}.png`)];
  assert.equal((await drawn(photo, ...out())).kind, 'ops');
  assert.equal((await drawn(photo, '--scale', 'timm-increasing', ...out())).kind, 'ops');
  assert.equal((await drawn(set, '--op', 'Shear_X', '--magnitude', '9', ...out())).rows.length, 6);
  const many = await drawn(photo, '--policy', 'trivial', '--size', '24', ...out());
  assert.equal(many.rows[0]!.draws!.length, 24);
  const some = await drawn(
    join(folder, 'flat'),
    '--policy',
    'ops:rotate=9',
    '--count',
    '2',
    '--size',
    '24',
    '--erase',
    '--no-flip',
    ...out(),
  );
  assert.deepEqual(
    new Set(some.rows.map(({ image, draws }) => `${image} ${draws!.length}`)),
    new Set(['a.png 2', 'b.png 2']),
  );
  const mixed = await drawn(set, '--cutmix', '--size', '24', '--count', '12', ...out());
  assert.equal(mixed.rows.length, 3);
  assert.equal(
    (await drawn(set, '--cutmix', '0.5', '--mixup', '--policy', 'basic', '--size', '24', ...out())).kind,
    'mixing',
  );
});

test('a sheet depends on the seed and on nothing else', async (t) => {
  const folder = await photos(t);
  const draw = async (name: string, seed: string): Promise<Buffer> => {
    const file = join(folder, name);
    await drawn(
      join(folder, 'set'),
      '--policy',
      'randaugment:n=2,m=9',
      '--size',
      '24',
      '--count',
      '3',
      '--seed',
      seed,
      '--out',
      file,
    );
    return readFileSync(file);
  };
  const first = await draw('1.png', '5');
  assert.ok(first.equals(await draw('2.png', '5')));
  assert.ok(!first.equals(await draw('3.png', '6')));
});

test('one pixel, 20,000 pixels, grey and transparent images', async (t) => {
  const folder = await temporaryFolder(t);
  const sharp = await loadCodec();
  const raw = (channels: 1 | 2 | 4): Promise<Buffer> =>
    sharp(noise(3, 40, 40).data.slice(0, 30 * 20 * channels), { raw: { width: 30, height: 20, channels } })
      .png()
      .toBuffer();
  const files = {
    one: await encodePng(noise(1, 1, 1)),
    wide: await encodePng(noise(2, 20_000, 3)),
    tall: await encodePng(noise(2, 1, 20_000)),
    grey: await raw(1),
    greyAlpha: await raw(2),
    alpha: await raw(4),
  };
  for (const [name, bytes] of Object.entries(files)) {
    const path = join(folder, `${name}.png`);
    writeFileSync(path, bytes);
    for (const [i, options] of [
      [],
      ['--policy', 'randaugment:n=3,m=30', '--size', '16', '--count', '3'],
      ['--policy', 'strong', '--size', '64', '--count', '2', '--erase', '1'],
    ].entries()) {
      await drawn(path, ...options, '--out', join(folder, `${name} sheet ${i}.png`));
    }
  }
});

test('mistakes are one clear line', async (t) => {
  const folder = await photos(t);
  const photo = join(folder, 'photo.png'),
    out = join(folder, 'x.png');
  const cases: readonly (readonly [RegExp, ...string[]])[] = [
    [/augment needs --out FILE, such as --out sheet\.png/, photo],
    [/already exists; choose another --out/, photo, '--out', photo],
    [/none\.png: no such file/, join(folder, 'none.png'), '--out', out],
    [/text\.jpg: not an image/, join(folder, 'text.jpg'), '--out', out],
    [/empty: no image in it can be read/, join(folder, 'empty'), '--policy', 'basic', '--out', out],
    [/no op named "rotat": did you mean "rotate"\?/, photo, '--op', 'rotat', '--out', out],
    [/magnitude 31: give 0 to 30/, photo, '--op', 'rotate', '--magnitude', '31', '--out', out],
    [/--magnitude takes a number of at least 0/, photo, '--op', 'rotate', '--magnitude', '-1', '--out', out],
    [/--magnitude is of one op/, photo, '--magnitude', '9', '--out', out],
    [/invert takes no magnitude/, photo, '--op', 'invert', '--magnitude', '9', '--out', out],
    [/did you mean "randaugment"/, photo, '--policy', 'randaugmnt:n=2', '--out', out],
    [/did you mean "rotate"/, photo, '--policy', join(folder, 'bad.json'), '--out', out],
    [/--scale takes one of .* did you mean timm\?/, photo, '--scale', 'tim', '--out', out],
    [/a policy names its own/, photo, '--policy', 'basic', '--scale', 'timm', '--out', out],
    [/give either --op or --policy/, photo, '--op', 'rotate', '--policy', 'basic', '--out', out],
    [/--count is for draws of a policy/, photo, '--count', '3', '--out', out],
    [/--flip is for draws of a policy/, photo, '--no-flip', '--out', out],
    [/--seed is for draws of a policy/, photo, '--op', 'rotate', '--seed', '1', '--out', out],
    [/one image cannot be mixed/, photo, '--cutmix', '--out', out],
    [
      /one of the images in .*set from then on; .* --out outside/,
      join(folder, 'set'),
      '--out',
      join(folder, 'set/a.png'),
    ],
    [/are not in class folders/, join(folder, 'flat'), '--mixup', '--out', out],
    [/--cutmix takes a number of at least 0/, join(folder, 'set'), '--cutmix=-1', '--out', out],
  ];
  for (const [expected, ...argv] of cases) {
    const { code, out: printed, err } = await pupil(...argv);
    assert.equal(code, 2, `${argv.join(' ')}: ${err}`);
    assert.equal(printed, '');
    assert.match(err, expected);
    assert.match(err, /^pupil: [^\n]+\n$/);
  }
});
