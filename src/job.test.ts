import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { PupilError } from './errors.js';
import { Job } from './job.js';

interface Tick {
  readonly type: 'tick';
  readonly count: number;
}

/** Counts to 3 unless it is stopped; what it did is in `log`. */
function counting(log: string[], signal?: AbortSignal): Job<Tick, string> {
  return new Job<Tick, string>(
    async function* (stop) {
      log.push('begin');
      for (let count = 1; count <= 3; count++) {
        await sleep(1);
        if (stop.aborted) {
          log.push('saved');
          throw new PupilError('interrupted', `interrupted at ${count}`);
        }
        yield { type: 'tick', count };
      }
      log.push('end');
      return 'done';
    },
    { signal },
  );
}
const failing = (): Job<Tick, string> =>
  new Job<Tick, string>(async function* () {
    yield { type: 'tick', count: 1 };
    await sleep(1);
    throw new PupilError('bad-data', 'no images');
  });
const interrupted = { code: 'interrupted' };

test('awaiting a job gives its result; it begins no sooner', async () => {
  const log: string[] = [];
  const job = counting(log);
  await sleep(5);
  assert.deepEqual(log, []);
  assert.equal(await job, 'done');
  assert.deepEqual(log, ['begin', 'end']);
});

test('a loop gets the events, the result last; loop and await together are one run', async () => {
  for (const first of [false, true]) {
    const log: string[] = [];
    const job = counting(log);
    const early = first ? job.then((result) => result) : undefined;
    const events: (number | string)[] = [];
    for await (const event of job) {
      await sleep(3); // slower than the awaiting
      events.push(event.type === 'tick' ? event.count : event.result);
    }
    assert.deepEqual(events, [1, 2, 3, 'done']);
    assert.equal(await job, 'done');
    assert.equal(await (early ?? job), 'done');
    assert.deepEqual(log, ['begin', 'end']);
  }
});

test('leaving the loop stops the work after it was saved, and awaiting then rejects', async () => {
  const log: string[] = [];
  const job = counting(log);
  for await (const event of job) if (event.type === 'tick' && event.count === 2) break;
  assert.deepEqual(log, ['begin', 'saved']);
  await assert.rejects(async () => job, interrupted);
  await assert.rejects(async () => {
    for await (const event of job) void event;
  }, interrupted);
});

test('a job that is disposed of before its first use never begins', async () => {
  const log: string[] = [];
  const job = counting(log);
  await job[Symbol.asyncDispose]();
  await assert.rejects(async () => job, interrupted);
  assert.deepEqual(log, []);
});

test('leaving the loop at the result leaves the result', async () => {
  const job = counting([]);
  for await (const event of job) if (event.type === 'result') break;
  assert.equal(await job, 'done');
  const late: string[] = [];
  for await (const event of job) late.push(event.type);
  assert.deepEqual(late, ['result']);
});

test('a signal stops the work, also before it began and whatever its reason', async () => {
  const stop = new AbortController(),
    log: string[] = [];
  const job = counting(log, stop.signal);
  await assert.rejects(async () => {
    for await (const event of job) if (event.type === 'tick') stop.abort(new Error('time is up'));
  }, interrupted);
  assert.deepEqual(log, ['begin', 'saved']);
  await assert.rejects(async () => counting(log, AbortSignal.abort(new Error('never'))), interrupted);
  assert.equal(log.length, 2);
});

test('await using stops what is under way when its block ends, and nothing else', async () => {
  const log: string[] = [];
  {
    await using job = counting(log);
    for await (const event of job) if (event.type === 'result') break;
  }
  {
    await using untouched = counting(log);
    void untouched;
  }
  assert.deepEqual(log, ['begin', 'end']);
  {
    await using job = counting(log);
    job.then(
      () => log.push('result'),
      () => log.push('rejected'),
    );
    await sleep(1);
  }
  assert.deepEqual(log.slice(2), ['begin', 'saved', 'rejected']);
});

test('an error is thrown in the loop and rejects the promise; used one way only, it is reported once', async () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  process.on('unhandledRejection', note);
  try {
    const looped = failing();
    await assert.rejects(
      async () => {
        for await (const event of looped) void event;
      },
      { code: 'bad-data' },
    );
    await sleep(5);
    assert.deepEqual(unhandled, []);
    await assert.rejects(async () => looped, { code: 'bad-data' });
    assert.equal(await failing().catch((error: unknown) => (error as PupilError).code), 'bad-data');
    let over = false;
    await assert.rejects(
      failing().finally(() => (over = true)),
      { code: 'bad-data' },
    );
    assert.ok(over);
  } finally {
    process.off('unhandledRejection', note);
  }
});
