/** One image of the grid: its label, or what the model suggests. */
import { Photo } from '../parts/photo.tsx';
import { percent } from '../parts/numbers.ts';
import { predictions } from '../state/assistant.ts';
import { classes, markOf } from '../state/labels.ts';
import { isAside, wordFor, type Mark } from '../state/marks.ts';

/** The colour of a class. */
export const hueOf = (name: string): string => `hue-${classes.value.indexOf(name) % 10}`;

export function Chip({ mark }: { readonly mark: Mark }) {
  if (mark === null) return null;
  return <span class={`chip ${typeof mark === 'string' ? hueOf(mark) : ''}`}>{wordFor(mark)}</span>;
}

export function Suggestion({ id }: { readonly id: number }) {
  const said = predictions.value.get(id);
  if (said === undefined) return null;
  return (
    <span class={`chip suggested ${hueOf(said.label)}`}>
      {said.label}? {percent(said.confidence)}
    </span>
  );
}

interface Given {
  readonly id: number;
  readonly place: number;
  readonly count: number;
  readonly isFocused: boolean;
  readonly isSelected: boolean;
  readonly style: Readonly<Record<string, string>>;
}

export function Cell({ id, place, count, isFocused, isSelected, style }: Given) {
  const mark = markOf(id);
  const state = isAside(mark) ? ' aside' : mark === null ? '' : ' labelled';
  return (
    <div
      id={`image-${id}`}
      class={`cell${isFocused ? ' focused' : ''}${isSelected ? ' selected' : ''}${state}`}
      role="option"
      aria-selected={isSelected}
      aria-posinset={place + 1}
      aria-setsize={count}
      data-place={place}
      style={style}
    >
      <Photo id={id} />
      {mark === null ? <Suggestion id={id} /> : <Chip mark={mark} />}
    </div>
  );
}
