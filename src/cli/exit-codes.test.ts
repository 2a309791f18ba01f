import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { codeOfSystemError, PupilError, type ErrorCode } from '../errors.js';
import { exitCodes } from './exit-codes.js';
import { stopSignals } from './interrupt.js';
import { describeFailure } from './run.js';
import { asUserError } from './user-error.js';

const all = Object.keys(exitCodes) as (keyof typeof exitCodes)[];

test('every error ends with the exit code of its code, and bugs with 1', () => {
  for (const code of all) {
    const error = code === 'internal' ? new Error('a bug') : new PupilError(code, 'so');
    const { exitCode, error: told } = describeFailure(error, new Map());
    assert.deepEqual([exitCode, told.code], [exitCodes[code], code]);
  }
});

test('docs/scale.md has every error code in the row of its exit code', () => {
  const text = readFileSync(new URL('../../docs/scale.md', import.meta.url), 'utf8');
  const [, section] = /^## Exit codes\n([^]*?)^#/m.exec(text)!;
  const rows = [...section!.matchAll(/^\| (\d+) +\| [^|]+\| ([^|]*)\|/gm)];
  assert.deepEqual(
    rows.map(([, exitCode]) => Number(exitCode)),
    [0, 1, 2, 130],
  );
  const documented = rows.flatMap(([, exitCode, codes]) =>
    [...codes!.matchAll(/`([a-z-]+)`/g)].map(([, code]) => [code!, Number(exitCode)] as const),
  );
  assert.deepEqual(Object.fromEntries(documented), exitCodes);
  assert.equal(documented.length, all.length, 'each once');
});

/** What the system says, and what the next try is worth. */
const systemErrors: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'io',
  EDQUOT: 'io',
  EIO: 'io',
  ESTALE: 'io',
  ENOTCONN: 'io',
  EMFILE: 'io',
  EACCES: 'bad-path',
  EROFS: 'bad-path',
  ENOTDIR: 'bad-path',
  ENOENT: 'not-found',
};
test('a full disk and a share that is gone are tried again, a path that may not be written is not', () => {
  for (const [system, code] of Object.entries(systemErrors)) {
    const error = asUserError(Object.assign(new Error('write'), { code: system, path: '/share/part' }));
    assert.equal(error?.code, code, system);
    assert.match(error.message, /^\/share\/part /);
    if (code !== 'not-found') assert.equal(codeOfSystemError(system), code);
    assert.equal(exitCodes[code], code === 'io' ? 1 : 2);
  }
});

for (const signal of stopSignals) {
  test(`${signal} while code is loaded ends with 130 and one line`, { skip: process.platform === 'win32' }, () => {
    const stops = `name === '${signal}' && setImmediate(() => process.kill(process.pid, name))`;
    const atOnce = `process.on('newListener', (name) => ${stops})`;
    const main = fileURLToPath(new URL('./main.js', import.meta.url));
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--import', `data:text/javascript,${encodeURIComponent(atOnce)}`, main, 'models', 'list'],
      { encoding: 'utf8' },
    );
    assert.deepEqual([status, stderr.trim()], [130, 'pupil: interrupted before anything was saved']);
  });
}
