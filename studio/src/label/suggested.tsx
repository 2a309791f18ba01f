/** What the model suggests, a row for each class: reject one by one, accept the rest of the row. */
import { signal } from '@preact/signals';
import { count, of, percent } from '../parts/numbers.ts';
import { Photo } from '../parts/photo.tsx';
import { isTouch } from '../parts/touch.ts';
import { proposed } from '../state/assistant.ts';
import { classes } from '../state/labels.ts';
import { complain } from '../state/notices.ts';
import { markEach, sayDone } from '../state/steps.ts';
import { undoStep } from './actions.ts';
import { hueOf } from './cell.tsx';
import { moveAmong, useKeptFocus } from './suggested-focus.ts';
import { leastSure, picked, suggested } from './view.ts';

/** Images whose suggestion was rejected; they stay without a label. */
const rejected = signal<ReadonlySet<number>>(new Set());
/** Images in a row: what is accepted was seen. */
const rowLength = 24;

function toggle(id: number): void {
  const next = new Set(rejected.value);
  if (!next.delete(id)) next.add(id);
  rejected.value = next;
}

/** Those of a class, the surest first. */
const suggestedAs = (name: string) =>
  suggested.value.filter(({ label }) => label === name).sort((a, b) => b.confidence - a.confidence);

function acceptRow(name: string, row: readonly { readonly id: number }[]): void {
  const accepted = row.filter(({ id }) => !rejected.value.has(id));
  markEach(
    accepted.map(({ id }) => ({ id, to: name })),
    'accepted',
  );
  sayDone(`${of(accepted.length, 'image')}: ${name}`, undoStep);
  void proposed.more().catch(complain);
}

function Row({ name }: { readonly name: string }) {
  const all = suggestedAs(name),
    // Rejected ones make room: the others come up behind them.
    row = all.slice(0, rowLength + all.filter(({ id }) => rejected.value.has(id)).length);
  const accepted = row.filter(({ id }) => !rejected.value.has(id)).length;
  if (all.length === 0) return null;
  return (
    <section class={`row ${hueOf(name)}`} aria-label={name}>
      <header>
        <h2>
          <span class={`chip ${hueOf(name)}`}>{name}</span> <small>{of(all.length, 'image')}</small>
        </h2>
        <button class="primary" disabled={accepted === 0} onClick={() => acceptRow(name, row)}>
          Accept {count(accepted)}
        </button>
      </header>
      <ul>
        {row.map(({ id, confidence }) => (
          <li key={id}>
            <button
              class="pick"
              aria-pressed={rejected.value.has(id)}
              onFocus={() => (picked.value = id)}
              onClick={() => toggle(id)}
            >
              <span class="unseen">Reject </span>
              <Photo id={id} />
              <small>{rejected.value.has(id) ? 'rejected' : percent(confidence)}</small>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

export function Suggested() {
  const isNone = classes.value.every((name) => suggestedAs(name).length === 0);
  return (
    <div class="rows" onKeyDown={moveAmong} {...useKeptFocus()}>
      <label class="threshold">
        Minimum confidence <output>{percent(leastSure.value)}</output>
        <input
          type="range"
          min={0.5}
          max={0.99}
          step={0.01}
          value={leastSure.value}
          onInput={({ currentTarget }) => (leastSure.value = Number(currentTarget.value))}
        />
      </label>
      <p class="note">
        {isNone
          ? 'No suggestion is that sure: lower the minimum, or label a few more images.'
          : isTouch.value
            ? 'Tap what is wrong to reject it; then accept the rest of the row.'
            : 'Click what is wrong to reject it, or press the key of its class; then accept the rest of the row.'}
      </p>
      {classes.value.map((name) => (
        <Row key={name} name={name} />
      ))}
    </div>
  );
}
