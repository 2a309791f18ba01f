/** The report of a run, as its file has it. */
import { addressOf, go, route } from '../route.ts';
import { fileOf } from '../state/runs.ts';
import { finished } from '../try/state.ts';

export function LookSection() {
  const run = finished.value.find(({ name }) => name === route.value.name)?.name ?? finished.value[0]?.name;
  if (run === undefined)
    return (
      <>
        <h1>Look</h1>
        <p class="empty">
          There is no report yet. <a href={addressOf('train')}>Train a model</a> first.
        </p>
      </>
    );
  const report = fileOf(run, 'report.html');
  return (
    <div class="looking">
      <h1 class="unseen">Look</h1>
      <p class="which">
        <label for="run">Report of</label>
        <select id="run" value={run} onChange={({ currentTarget }) => go('look', currentTarget.value)}>
          {finished.value.map(({ name }) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
        <a href={report} target="_blank" rel="noreferrer">
          In a window of its own
        </a>
        <a href={fileOf(run, 'model-card.md')} download={`${run}.md`}>
          Model card
        </a>
      </p>
      <iframe key={run} src={report} title={`Report of ${run}`} />
    </div>
  );
}
