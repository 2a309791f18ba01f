import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runFiles } from '../artifact/run-files.js';
import type { RunEvent } from './events.js';
import { keepingWarnings } from './warnings.js';

test('warnings are kept in the run: those before it begins, and each once over all sessions', async (t) => {
  const run = await mkdtemp(join(tmpdir(), 'pupil-warnings-'));
  t.after(() => rm(run, { recursive: true }));
  const session = async function* (...told: readonly string[]): AsyncGenerator<RunEvent, string, undefined> {
    yield { type: 'warning', message: 'before' };
    yield { type: 'plan', run, lines: [] };
    for (const message of told) yield { type: 'warning', message };
    return 'done';
  };
  const seen: string[] = [];
  const events = keepingWarnings(session('one', 'one'));
  let next = await events.next();
  for (; !next.done; next = await events.next()) seen.push(next.value.type);
  assert.equal(next.value, 'done');
  assert.deepEqual(seen, ['warning', 'plan', 'warning', 'warning']);
  assert.deepEqual(await runFiles.warnings.read(run), { warnings: ['before', 'one'] });
  for await (const _ of keepingWarnings(session('two', 'one')));
  assert.deepEqual(await runFiles.warnings.read(run), { warnings: ['before', 'one', 'two'] });
});

test('a run without a warning has no file of them', async (t) => {
  const run = await mkdtemp(join(tmpdir(), 'pupil-warnings-'));
  t.after(() => rm(run, { recursive: true }));
  const session = async function* (): AsyncGenerator<RunEvent, void, undefined> {
    yield { type: 'plan', run, lines: [] };
  };
  for await (const _ of keepingWarnings(session()));
  assert.equal(await runFiles.warnings.exists(run), false);
});
