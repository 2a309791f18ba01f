import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import Module from 'node:module';
import { test } from 'node:test';
import { PupilError } from '../errors.js';
import { Random } from '../random.js';
import { decode } from './decode.js';
import { heicDamage } from './heic-items.js';

const bytes = readFileSync(new URL('../../fixtures/image/formats/plain.heic', import.meta.url));

test('without libheif-js, a HEIC file is refused with its name', async () => {
  const internals = Module as unknown as { _resolveFilename: (...given: readonly unknown[]) => string };
  const original = internals._resolveFilename;
  internals._resolveFilename = (name, ...rest) => {
    if (String(name).startsWith('libheif-js')) throw new Error('not installed');
    return original.call(Module, name, ...rest);
  };
  try {
    await assert.rejects(decode(bytes, 'a.heic'), {
      code: 'bad-data',
      message: 'a.heic: HEIC needs the library libheif-js: npm install libheif-js, or convert the file to JPEG',
    });
  } finally {
    internals._resolveFilename = original;
  }
});

test('200 mutated HEIC files are decoded or refused in one line', async (t) => {
  const random = new Random(4, 'heic');
  const count = { tries: 0, decoded: 0, refused: 0 };
  for (let i = 0; i < 200; i++) {
    const mutated = Buffer.from(bytes);
    for (let k = random.integer(4); k >= 0; k--)
      mutated[24 + random.integer(mutated.length - 24)] = random.chance(0.3) ? 0 : random.integer(256);
    const cut = random.chance(0.2) ? mutated.subarray(0, random.integer(mutated.length)) : mutated;
    count.tries++;
    try {
      await decode(cut, 'a.heic');
      count.decoded++;
    } catch (error) {
      assert.ok(error instanceof PupilError && error.code === 'bad-data', String(error));
      count.refused++;
    }
  }
  t.diagnostic(JSON.stringify(count));
  assert.ok(count.refused > 50);
  assert.equal((await decode(bytes, 'a.heic')).width, 48);
});

test('HEIC files that were half copied, or in which data was overwritten with zeros, are refused', async () => {
  const files = ['plain', 'p3'].map((name) =>
    readFileSync(new URL(`../../fixtures/image/formats/${name}.heic`, import.meta.url)),
  );
  let tries = 0;
  for (const file of files) {
    const data = file.lastIndexOf('mdat') + 4;
    assert.equal(heicDamage(file), undefined);
    for (const part of [0.1, 0.4, 0.7, 0.95]) {
      const from = data + Math.floor((file.length - data) * part);
      const zeros = Buffer.from(file).fill(0, from);
      const hole = Buffer.from(file).fill(0, from, Math.min(file.length, from + 16));
      tries++;
      await assert.rejects(decode(file.subarray(0, from), 'a.heic'), {
        code: 'bad-data',
        message: /cut short|Unexpected end/,
      });
      await assert.rejects(decode(zeros, 'a.heic'), { code: 'bad-data', message: /overwritten with zeros/ });
      if (from + 16 <= file.length)
        await assert.rejects(decode(hole, 'a.heic'), { code: 'bad-data', message: /overwritten with zeros/ });
    }
  }
  assert.equal(tries, 8);
});
