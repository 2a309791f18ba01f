/** A run from inside: which images it got wrong and why, and its report. */
import { RunSelect } from '../parts/run-select.tsx';
import { addressOf } from '../route.ts';
import { returned } from '../state/requests.ts';
import { fileOf } from '../state/runs.ts';
import { chosenRun } from '../try/state.ts';
import { Images } from './images.tsx';
import { view } from './state.ts';

const views = [
  { key: 'images', title: 'Images' },
  { key: 'report', title: 'Report' },
] as const;

function Which({ run }: { readonly run: string }) {
  return (
    <p class="which">
      <RunSelect section="look" label="Run" />
      <span class="lists" role="group" aria-label="What is shown">
        {views.map(({ key, title }) => (
          <button key={key} aria-pressed={view.value === key} onClick={() => (view.value = key)}>
            {title}
          </button>
        ))}
      </span>
      <a href={fileOf(run, 'report.html')} target="_blank" rel="noreferrer">
        Report in a window of its own
      </a>
      <a href={fileOf(run, 'model-card.md')} download={`${run}.md`}>
        Model card
      </a>
    </p>
  );
}

export function LookSection() {
  const run = chosenRun.value;
  if (run === undefined)
    return (
      <>
        <h1>Look</h1>
        <p class="empty">
          There is nothing to look at yet. <a href={addressOf('train')}>Train a model</a> first.
        </p>
      </>
    );
  return (
    <div class={`looking ${view.value}`}>
      <h1 class="unseen">Look</h1>
      <Which run={run} />
      {view.value === 'images' ? (
        <Images run={run} />
      ) : (
        <iframe key={`${run} ${returned.value}`} src={fileOf(run, 'report.html')} title={`Report of ${run}`} />
      )}
    </div>
  );
}
