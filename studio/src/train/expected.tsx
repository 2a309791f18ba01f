/** The time that a training is expected to take, before it is started. */
import { useEffect } from 'preact/hooks';
import type { RunRequest } from '../protocol.ts';
import { duration } from '../parts/numbers.ts';
import { returned } from '../state/requests.ts';
import { askExpected, expectedOf, keyOf } from '../state/forecasts.ts';

/** Milliseconds after which nobody types any more. */
const pause = 600;

function words(request: RunRequest): string {
  const expected = expectedOf(request);
  if (expected === undefined) return 'Working out how long it takes…';
  if ('failure' in expected) return expected.failure;
  return expected.seconds === null
    ? 'How long it takes is worked out once the training before it has ended.'
    : `Expected to take about ${duration(expected.seconds)} on this machine.`;
}

export function ExpectedTime({ request }: { readonly request: RunRequest }) {
  const key = keyOf(request);
  useEffect(() => {
    const timer = setTimeout(() => void askExpected(request), pause);
    return () => clearTimeout(timer);
  }, [key, returned.value]);
  return (
    <p class="note expected" role="status">
      {words(request)}
    </p>
  );
}
