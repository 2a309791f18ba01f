import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { defaultChoiceFile, machineKey, openChoiceCache } from './cache.js';

test('choices are kept by machine, together with those of other processes', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'pupil-choices-')),
    file = join(folder, 'deep', 'choices.json');
  t.after(() => rmSync(folder, { recursive: true }));
  const [one, other] = [openChoiceCache(file, 'a'), openChoiceCache(file, 'a')];
  one.set('x', 'direct');
  one.save();
  assert.equal(other.get('x'), undefined);
  other.set('y', 'winograd');
  other.save();
  const after = openChoiceCache(file, 'a');
  assert.deepEqual(
    [after.get('x'), after.get('y'), after.get('toString'), openChoiceCache(file, 'b').get('x')],
    ['direct', 'winograd', undefined, undefined],
  );
  assert.deepEqual(readdirSync(join(folder, 'deep')), ['choices.json']);
});

test('a damaged file, or one that cannot be written, does no harm', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'pupil-choices-')),
    file = join(folder, 'choices.json');
  t.after(() => rmSync(folder, { recursive: true }));
  for (const text of ['{', '[]', '{"a": 3}', '{"a": {"x": 3}}']) {
    writeFileSync(file, text);
    assert.equal(openChoiceCache(file, 'a').get('x'), undefined, text);
  }
  const below = openChoiceCache(join(file, 'choices.json'), 'a');
  below.set('x', 'direct');
  below.save();
  assert.equal(below.get('x'), 'direct');
});

test('the place of the file and the name of a machine', () => {
  assert.equal(
    defaultChoiceFile({ XDG_CACHE_HOME: '/there' }, 'linux'),
    join('/there', 'pupil', 'onednn-choices.json'),
  );
  assert.equal(defaultChoiceFile({ PUPIL_CACHE: '/here' }), join('/here', 'onednn-choices.json'));
  assert.match(machineKey('2.6.3', 2), /, oneDNN 2\.6\.3, 2 threads$/);
});
