/** Starting trainings, watching them, comparing them. */
import { useEffect } from 'preact/hooks';
import { route } from '../route.ts';
import { loadDetail, runs } from '../state/runs.ts';
import { complain } from '../state/notices.ts';
import { Comparison } from './comparison.tsx';
import { StartForm } from './form.tsx';
import { RunCard } from './run-card.tsx';

/** Runs whose details are shown without being asked for. */
const opened = 3;

export function TrainSection() {
  const shown = runs.value.slice(0, opened).map(({ name }) => name);
  const { name } = route.value;
  const wanted = [...new Set([...shown, ...(name === null ? [] : [name])])].join('\n');
  useEffect(() => {
    for (const one of wanted.split('\n').filter(Boolean)) void loadDetail(one).catch(complain);
  }, [wanted]);
  return (
    <>
      <h1>Train</h1>
      <StartForm />
      <Comparison />
      {runs.value.length > 0 && <h2>Runs</h2>}
      <div class="runs">
        {runs.value.map((run) => (
          <RunCard key={run.name} run={run} />
        ))}
      </div>
    </>
  );
}
