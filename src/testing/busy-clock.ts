import type { TestContext } from 'node:test';

/** A clock that jumps as a test says: the machine was busy for so many seconds. */
export function busyClock(t: TestContext): (seconds: number) => void {
  const now = performance.now.bind(performance);
  let late = 0;
  t.mock.method(performance, 'now', () => now() + late);
  return (seconds) => {
    late += 1000 * seconds;
  };
}
