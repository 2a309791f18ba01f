import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { PupilError } from '../errors.js';
import { createSchedule, scheduleNames, type ScheduleName, type ScheduleOptions } from './schedules.js';

interface Fixture {
  readonly schedules: {
    total: number;
    cases: Record<string, { options: ScheduleOptions & { name: ScheduleName }; factors: number[] }>;
  };
}
const { schedules } = JSON.parse(
  readFileSync(new URL('../../fixtures/train/torch.json', import.meta.url), 'utf8'),
) as Fixture;

for (const [name, { options, factors }] of Object.entries(schedules.cases)) {
  test(`schedules: ${name} equals PyTorch's`, () => {
    const schedule = createSchedule(options.name, options);
    factors.forEach((factor, step) => {
      const got = schedule(step, schedules.total);
      assert.ok(Math.abs(got - factor) < 1e-9, `step ${step}: ${got}, PyTorch ${factor}`);
    });
  });
}

test('schedules: every one stays in (0, 1] within its steps, also in very short runs and past the end', () => {
  for (const name of scheduleNames) {
    for (const total of [1, 2, 3, 10]) {
      for (const warmUpSteps of [0, 1, 5]) {
        const schedule = createSchedule(name, { warmUpSteps });
        for (let step = 0; step < total + 2; step++) {
          const factor = schedule(step, total);
          assert.ok(factor > 0 && factor <= 1, `${name}, warm-up ${warmUpSteps}: ${factor} at ${step} of ${total}`);
        }
        assert.equal(schedule(total + 5, total), schedule(total - 1, total));
      }
    }
  }
});

test('schedules: unknown names and impossible warm-ups are refused', () => {
  assert.throws(
    () => createSchedule('cosin' as ScheduleName),
    (error) => error instanceof PupilError && /give one of constant, cosine/.test(error.message),
  );
  assert.throws(() => createSchedule('cosine', { warmUpSteps: -1 }), PupilError);
});
