/** What tests of every part share. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { PupilError, type ErrorCode } from '../errors.js';
import type { Job, ResultEvent } from '../job.js';

/**
 * Gives the tests of this file a cache folder of their own. oneDNN's kernels are chosen by timing and
 * kept there: another process that times the same at the same time would change the choice between
 * two runs whose bytes are compared.
 */
export function useOwnCache(): void {
  const folder = mkdtempSync(join(tmpdir(), 'pupil-cache-'));
  process.env['PUPIL_CACHE'] = folder;
  after(() => rmSync(folder, { recursive: true, force: true }));
}

/** Runs a job to its end. Its last event has to be the result, which is not among `events`. */
export async function collect<Event extends { readonly type: string }, Result>(
  job: Job<Event, Result>,
  onEvent: (event: Event) => void = () => undefined,
): Promise<{ readonly events: Event[]; readonly result: Result }> {
  const events: Event[] = [];
  let last: Event | ResultEvent<Result> | undefined;
  for await (const event of job) {
    last = event;
    if (isResult(event)) continue;
    events.push(event);
    onEvent(event);
  }
  assert.ok(last && isResult(last), 'the last event is the result');
  assert.equal(await job, last.result);
  return { events, result: last.result };
}

/** As JSON has it: without what is undefined. */
export const asJson = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

const isResult = <Event extends { readonly type: string }, Result>(
  event: Event | ResultEvent<Result>,
): event is ResultEvent<Result> => event.type === 'result';

/** For `assert.throws` and `assert.rejects`: a `PupilError` of that code whose one line matches. */
export const refused =
  (code: ErrorCode, message: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof PupilError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  };

/** SHA-256 of a file, in hexadecimal. */
export const hashOf = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
