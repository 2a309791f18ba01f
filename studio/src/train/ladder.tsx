/** The techniques in order: what each reached, which is under way, which are to come. */
import type { RunDetail, RunStage } from '../protocol.ts';
import { IntervalLine } from '../parts/interval.tsx';
import { duration, percent } from '../parts/numbers.ts';

const words: Readonly<Record<RunStage['state'], string>> = {
  'waiting': 'to come',
  'running': 'being tried',
  'best': 'the result',
  'kept': 'kept',
  'no better': 'no better',
  'skipped': 'skipped',
};

/** The best so far, rung by rung, as a line that climbs. */
function Climb({ stages }: Pick<RunDetail, 'stages'>) {
  const reached = stages.flatMap(({ accuracy }) => (accuracy === null ? [] : [accuracy]));
  // Where all reach the same, a line says nothing.
  if (new Set(reached).size < 2) return null;
  const best = reached.map((_, i) => Math.max(...reached.slice(0, i + 1)));
  const low = Math.min(...reached),
    span = Math.max(...reached) - low;
  const x = (i: number): number => 6 + (148 * i) / (reached.length - 1);
  const y = (value: number): number => 34 - (28 * (value - low)) / span;
  const line = best.map((value, i) => `${i === 0 ? '' : `${x(i)},${y(best[i - 1]!)} `}${x(i)},${y(value)}`).join(' ');
  return (
    <svg
      class="climb"
      viewBox="0 0 160 40"
      role="img"
      aria-label={`The best so far, from ${percent(best[0]!, 1)} to ${percent(best.at(-1)!, 1)}`}
    >
      <polyline points={line} />
      {reached.map((value, i) => (
        <circle key={i} cx={x(i)} cy={y(value)} r={3} />
      ))}
    </svg>
  );
}

export function Ladder({ stages }: Pick<RunDetail, 'stages'>) {
  if (stages.length === 0) return null;
  return (
    <>
      <Climb stages={stages} />
      <ol class="ladder" aria-label="What is tried">
        {stages.map(({ name, what, accuracy, state, seconds, reason }) => (
          <li key={name} class={state.replace(' ', '-')} aria-current={state === 'running' ? 'step' : undefined}>
            <span title={what ?? undefined}>
              {name}
              {state === 'skipped' && reason !== null && <small>: {reason}</small>}
            </span>
            {accuracy === null ? <span /> : <IntervalLine accuracy={accuracy} />}
            <small>
              {accuracy === null ? '' : `${percent(accuracy, 1)}, `}
              {words[state]}
              {(state === 'waiting' || state === 'running') && seconds !== null && `, about ${duration(seconds)}`}
            </small>
          </li>
        ))}
      </ol>
    </>
  );
}
