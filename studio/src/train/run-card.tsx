/** One run: how far it is, what it found, and what can be done with it. */
import type { RunDetail, RunState, RunSummary } from '../protocol.ts';
import { showDrawn } from '../label/actions.ts';
import { Bar } from '../parts/bar.tsx';
import { Accuracy, IntervalLine } from '../parts/interval.tsx';
import { duration, of, percent } from '../parts/numbers.ts';
import { addressOf } from '../route.ts';
import { attempt } from '../state/notices.ts';
import { details, isGoing, loadDetail, tellRun } from '../state/runs.ts';
import { BatchPicture } from './batch.tsx';
import { compared, toggleCompared } from './comparison.tsx';
import { Curves } from './curves.tsx';
import { Ladder } from './ladder.tsx';
import { PseudoLabels } from './pseudo-labels.tsx';

const words: Readonly<Record<RunState, string>> = {
  waiting: 'waiting for the one before',
  running: 'running',
  stopping: 'saving its state',
  stopped: 'stopped',
  finished: 'finished',
  failed: 'failed',
};

const leftIn = (left: number | undefined): string =>
  left === undefined ? '' : left > 0 ? `, about ${duration(left)} left` : ', longer than planned';

function Buttons({ run }: { readonly run: RunSummary }) {
  const { name, state } = run;
  const [word, title] = isGoing(run) ? (['stop', 'Stop'] as const) : (['resume', 'Resume'] as const);
  const tell = (): void => {
    if (state !== 'stopping') attempt(() => tellRun(name, word));
  };
  return (
    <p class="buttons">
      {state !== 'finished' && (
        // One button, and never disabled: it would lose the keyboard.
        <button aria-disabled={state === 'stopping'} onClick={tell}>
          {title}
        </button>
      )}
      {state === 'finished' && (
        <>
          <a class="button" href={addressOf('try', name)}>
            Try it
          </a>
          <a class="button" href={addressOf('look', name)}>
            Report
          </a>
          <label class="compare">
            <input type="checkbox" checked={compared.value.has(name)} onChange={() => toggleCompared(name)} /> Compare
          </label>
        </>
      )}
    </p>
  );
}

function Details({ detail }: { readonly detail: RunDetail }) {
  const { stages, curve, notes } = detail;
  return (
    <>
      <Ladder stages={stages} />
      <Curves curve={curve} />
      <BatchPicture detail={detail} />
      <PseudoLabels {...detail} />
      {notes.length > 0 && (
        <details>
          <summary>What it said ({notes.length})</summary>
          <ul class="said">
            {notes.map((note, i) => (
              <li key={i}>{note}</li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}

export function RunCard({ run }: { readonly run: RunSummary }) {
  const { name, command, state, message, done, left, accuracy, interval, measuredOn, ofAll, easier } = run;
  const detail = details.value.get(name);
  return (
    <article class={`card run ${state}`} aria-labelledby={`run-${name}`}>
      <header>
        <h3 id={`run-${name}`}>{name}</h3>
        <span class={`state ${state}`}>
          {words[state]}
          {isGoing(run) && leftIn(left)}
        </span>
      </header>
      {isGoing(run) && (
        <div class="progress">
          <Bar label={`${command} ${name}`} done={done} /> <small>{percent(done)}</small>
        </div>
      )}
      {message !== undefined && <p class="failure">{message}</p>}
      {accuracy !== undefined && (
        <div class="result">
          <Accuracy accuracy={accuracy} interval={interval} digits={1} />
          <IntervalLine accuracy={accuracy} interval={interval} />
          {measuredOn !== undefined && <small>measured on {measuredOn}</small>}
        </div>
      )}
      {ofAll !== undefined && (
        <p class="note">
          {percent(ofAll.accuracy, 1)} of all {of(ofAll.images, 'held-out image')}. Most of these were chosen to be
          labelled, which makes them harder or easier than usual. To narrow the interval,{' '}
          <a href={addressOf('label')} onClick={showDrawn}>
            label more that are drawn at random
          </a>
          .
        </p>
      )}
      {easier !== undefined && <p class="note">{easier}</p>}
      {detail !== undefined && <Details detail={detail} />}
      {detail === undefined && (
        <button class="quiet" onClick={() => attempt(() => loadDetail(name))}>
          Show details
        </button>
      )}
      <Buttons run={run} />
    </article>
  );
}
