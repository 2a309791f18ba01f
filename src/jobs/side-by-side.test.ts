import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { withSamples } from '../data/dataset.js';
import type { RunEvent } from '../runs/events.js';
import { openDigits } from '../data/digits.js';
import type { Part } from './parts.js';
import { atOnce, trainSideBySide } from './side-by-side.js';

const data = withSamples(await openDigits(), []);
const parts = ['fold 1', 'fold 2', ''].map((name): Part => ({
  name,
  folder: name,
  data,
  options: {},
  decides: name !== '',
}));

type Events = AsyncGenerator<RunEvent, void, undefined>;
const phase = (name: string): RunEvent => ({ type: 'phase', name });
const nameOf = ({ name }: Part): string => name || 'whole';

/** Trainings of three steps, and what they did in order. */
function trainings({ stopAt }: { stopAt?: (part: Part, step: number) => void } = {}) {
  const did: string[] = [];
  const train = async function* (part: Part, ending: (() => Events) | undefined): Events {
    try {
      did.push(`${nameOf(part)} begins`);
      yield phase(nameOf(part));
      for (let step = 1; step <= 3; step++) {
        await sleep(1);
        stopAt?.(part, step);
        yield { type: 'warning', message: `${nameOf(part)} ${step}` };
        yield phase(`${nameOf(part)} ${step}`);
      }
      if (ending) yield* ending();
      did.push(`${nameOf(part)} ends`);
    } finally {
      did.push(`${nameOf(part)} is left`);
    }
  };
  return { did, train };
}

async function namesIn(events: Events): Promise<string[]> {
  const names: string[] = [];
  for await (const event of events) if (event.type === 'phase') names.push(event.name);
  return names;
}

test('side by side: at most so many at once, the whole first and measured last', async () => {
  const { did, train } = trainings();
  let running = 0,
    most = 0;
  const counted: typeof train = async function* (part, ending) {
    most = Math.max(most, ++running);
    yield* train(
      part,
      ending &&
        async function* () {
          running--;
          yield* ending();
        },
    );
    if (!ending) running--;
  };
  const names = await namesIn(trainSideBySide(parts, { trainings: 2, signal: undefined, train: counted }));
  assert.deepEqual(did.slice(0, 2), ['whole begins', 'fold 1 begins']);
  assert.equal(most, 2, 'the whole leaves its place to the last fold while it waits');
  assert.deepEqual(did.slice(-2), ['whole ends', 'whole is left']);
  assert.deepEqual(names.slice(0, 4), ['whole', 'whole 1', 'whole 2', 'whole 3'], 'those of the whole are shown');
  assert.ok(
    names.slice(4).every((name) => name.startsWith('fold')),
    'then those of what it waits for',
  );
});

test('side by side: warnings of all are told', async () => {
  const warned: string[] = [];
  for await (const event of trainSideBySide(parts, { trainings: 3, signal: undefined, train: trainings().train }))
    if (event.type === 'warning') warned.push(event.message);
  assert.equal(warned.length, 9);
});

test('side by side: an error of one ends all, an interruption lets each save its state', async () => {
  const failing = trainings({
    stopAt: (part, step) => {
      if (part.name === 'fold 1' && step === 2) throw new Error('diverged');
    },
  });
  const failed = namesIn(trainSideBySide(parts, { trainings: 3, signal: undefined, train: failing.train }));
  await assert.rejects(failed, /diverged/);
  assert.deepEqual(failing.did.filter((what) => what.endsWith('left')).length, 3, 'none goes on behind');
  assert.ok(!failing.did.includes('whole ends'));

  const stop = new AbortController();
  const saved: string[] = [];
  const interrupted = trainings({
    stopAt: (part, step) => {
      if (step === 2) stop.abort(new Error('interrupted'));
      if (!stop.signal.aborted) return;
      saved.push(nameOf(part));
      stop.signal.throwIfAborted();
    },
  });
  const left = namesIn(trainSideBySide(parts, { trainings: 3, signal: stop.signal, train: interrupted.train }));
  await assert.rejects(left, /interrupted/);
  assert.deepEqual(saved.toSorted(), ['fold 1', 'fold 2', 'whole']);
});

test('side by side: who leaves early leaves all', async () => {
  const { did, train } = trainings();
  for await (const _ of trainSideBySide(parts, { trainings: 2, signal: undefined, train })) break;
  await sleep(10);
  assert.deepEqual(did.toSorted(), ['fold 1 begins', 'fold 1 is left', 'whole begins', 'whole is left']);
});

test('side by side: small images only, and never more than there are threads', () => {
  const seen = (pixels: number): Parameters<typeof atOnce>[1] => [{ size: [pixels, pixels] }];
  assert.deepEqual(atOnce(2, seen(28), 2), { trainings: 2, threads: 1 });
  assert.deepEqual(atOnce(4, seen(28), 2), { trainings: 2, threads: 1 });
  assert.deepEqual(atOnce(4, seen(64), 16), { trainings: 4, threads: 4 });
  assert.deepEqual(atOnce(2, seen(28), 1), { trainings: 1 });
  assert.deepEqual(atOnce(1, seen(28), 8), { trainings: 1 });
  assert.deepEqual(atOnce(4, seen(224), 8), { trainings: 1 });
});
