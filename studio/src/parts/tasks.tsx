/** What is under way in the background. */
import type { Progress } from '../protocol.ts';
import { progress } from '../state/folder.ts';
import { Bar } from './bar.tsx';
import { count, duration } from './numbers.ts';

const words: Readonly<Record<Progress['task'], string>> = {
  scan: 'Finding images',
  thumbnails: 'Making thumbnails',
  backbone: 'Downloading the pretrained network',
  features: 'Computing features',
  comparison: 'Comparing all images',
  assistant: 'Learning from your labels',
};

/** `199 of 200`; a download counts bytes, and a comparison cannot say how far it is. */
const counts = ({ task, done, total }: Progress): string =>
  task === 'backbone' || task === 'comparison' ? '' : `${count(done)} of ${count(total)}`;

/** All but learning, which takes a moment only. */
export function Tasks() {
  const tasks = [...progress.value.values()].filter(({ task }) => task !== 'assistant');
  if (tasks.length === 0) return null;
  return (
    <ul class="tasks">
      {tasks.map((one) => (
        <li key={one.task}>
          <span>
            {words[one.task]}
            <small>
              {' '}
              {counts(one)}
              {one.left === undefined ? '' : `, ${duration(one.left)} left`}
            </small>
          </span>
          <Bar label={words[one.task]} done={one.task === 'comparison' ? undefined : one.done / one.total} />
        </li>
      ))}
    </ul>
  );
}
