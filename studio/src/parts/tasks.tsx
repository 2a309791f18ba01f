/** What is under way in the background. */
import type { Progress } from '../protocol.ts';
import { progress } from '../state/folder.ts';
import { Bar } from './bar.tsx';
import { count, duration } from './numbers.ts';

const words: Readonly<Record<Progress['task'], string>> = {
  scan: 'Finding images',
  thumbnails: 'Making thumbnails',
  backbone: 'Downloading the backbone',
  features: 'Computing features',
  assistant: 'Learning from your labels',
};

/** Tasks that count something; learning takes a moment only. */
export function Tasks() {
  const tasks = [...progress.value.values()].filter(({ task }) => task !== 'assistant');
  if (tasks.length === 0) return null;
  return (
    <ul class="tasks">
      {tasks.map(({ task, done, total, left }) => (
        <li key={task}>
          <span>
            {words[task]}
            <small>
              {task === 'backbone' ? '' : ` ${count(done)} of ${count(total)}`}
              {left === undefined ? '' : `, ${duration(left)} left`}
            </small>
          </span>
          <Bar label={words[task]} done={done / total} />
        </li>
      ))}
    </ul>
  );
}
