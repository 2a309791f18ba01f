/** The techniques that were tried, in order, with what each reached. */
import type { RunDetail } from '../protocol.ts';
import { IntervalLine } from '../parts/interval.tsx';
import { percent } from '../parts/numbers.ts';

export function Ladder({ stages }: Pick<RunDetail, 'stages'>) {
  if (stages.length === 0) return null;
  return (
    <ol class="ladder" aria-label="What was tried">
      {stages.map(({ name, accuracy, kept }) => (
        <li key={name} class={kept === true ? 'kept' : kept === null ? 'skipped' : ''}>
          <span>{name}</span>
          {accuracy === null ? <span /> : <IntervalLine accuracy={accuracy} />}
          <small>
            {accuracy === null ? '' : `${percent(accuracy, 1)}, `}
            {kept === null ? 'skipped' : kept ? 'kept' : 'no better'}
          </small>
        </li>
      ))}
    </ol>
  );
}
