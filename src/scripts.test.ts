import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder, writeTree } from './testing/image-files.js';

test('scripts/test.js says how the process of a test file ended, and fails', async (t) => {
  const build = await temporaryFolder(t);
  await writeTree(build, {
    'package.json': '{"type":"module"}',
    'killed.test.js': "process.kill(process.pid, 'SIGKILL'); setInterval(() => undefined, 1000);",
    'left.test.js': 'process.exit(7);',
    'wrong.test.js': "import { test } from 'node:test'; test('wrong', () => { throw new Error('no'); });",
    'well.test.js': "import { test } from 'node:test'; test('well', () => undefined);",
  });
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { status, stdout } = spawnSync(process.execPath, [resolve('scripts/test.js')], {
    env: { ...env, PUPIL_BUILD: build },
    encoding: 'utf8',
  });
  assert.equal(status, 1);
  assert.match(stdout, /\nkilled\.test\.js: its process died by SIGKILL\n/);
  assert.match(stdout, /\nleft\.test\.js: its process ended with code 7\n/);
  assert.doesNotMatch(stdout, /(wrong|well)\.test\.js: its process/);
});
