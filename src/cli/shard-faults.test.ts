import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pupil } from '../testing/command-line.js';
import { withFullDisk } from '../testing/full-disk.js';
import { temporaryFolder, writeTree } from '../testing/image-files.js';
import { useOwnCache } from '../testing/kit.js';
import { run, teacher } from '../testing/shards.js';

useOwnCache();

/** Commands whose shards write parts, behind the images and the model. */
const commands: Readonly<Record<string, readonly string[]>> = {
  'pseudo-label': ['--threshold', '0', '--workers', '0', '--batch-size', '8'],
  'features': ['--workers', '0'],
};

for (const [command, options] of Object.entries(commands)) {
  test(`${command}: a disk that is full leaves no half of a part, and the next try completes`, async (t) => {
    const folder = await temporaryFolder(t);
    const at = (name: string): string => join(folder, name);
    await writeTree(folder, Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`camera/${i}.png`, i])));
    const told = [command, at('camera'), '--model', teacher(at('teacher.onnx'), 1), ...options];
    await run(...told, '--out', at('whole.parquet'));
    for (const i of [1, 2]) await run(...told, '--shard', `${i}/2`, '--out', at('calm'));
    const part = 'part-00001-of-00002.parquet';
    const size = readFileSync(at(`calm/${part}`)).length;
    await run(...told, '--shard', '2/2', '--out', at('parts'));
    // Nothing fits, the start fits, all but the last byte fits.
    for (const bytes of [0, 100, size - 1]) {
      const failed = await withFullDisk(bytes, () => pupil(...told, '--shard', '1/2', '--out', at('parts')));
      assert.equal(failed.code, 1, 'tried again by schedulers');
      assert.match(failed.err, /pupil: cannot write .*part-00001-of-00002\.parquet: the disk is full; free some space/);
      assert.deepEqual(readdirSync(at('parts')), ['part-00002-of-00002.parquet'], `${bytes} bytes fit`);
      const merged = await pupil(command, '--merge', at('parts'), '--out', at('early.parquet'));
      assert.deepEqual([merged.code, existsSync(at('early.parquet'))], [2, false], 'a shard is missing');
    }
    assert.equal((await run(...told, '--shard', '1/2', '--out', at('parts')))['isDone'], false);
    assert.ok(readFileSync(at(`parts/${part}`)).equals(readFileSync(at(`calm/${part}`))), 'as if nothing had been');
    const failed = await withFullDisk(100, () => pupil(command, '--merge', at('parts'), '--out', at('all.parquet')));
    assert.equal(failed.code, 1);
    assert.match(failed.err, /cannot write .*all\.parquet: the disk is full/);
    assert.deepEqual(readdirSync(folder).sort(), ['calm', 'camera', 'parts', 'teacher.onnx', 'whole.parquet']);
    await run(command, '--merge', at('parts'), '--out', at('all.parquet'));
    assert.ok(readFileSync(at('all.parquet')).equals(readFileSync(at('whole.parquet'))));
  });
}
