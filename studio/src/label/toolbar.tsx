/** Above the images: which of them are shown, and how. */
import { useEffect, useRef } from 'preact/hooks';
import { Icon } from '../parts/icon.tsx';
import { count, of } from '../parts/numbers.ts';
import { isTouch } from '../parts/touch.ts';
import { UndoButtons } from '../parts/undo-buttons.tsx';
import { nameOf, present } from '../state/folder.ts';
import { marks } from '../state/labels.ts';
import { complain } from '../state/notices.ts';
import { dialog, redoStep, showAlike, undoStep } from './actions.ts';
import { leaveKeyboard } from './keys.ts';
import { ids, isSingle, selection, selectOnly, show, showImages, suggested, type Show } from './view.ts';

const titleOf = (value: Show): string | undefined => {
  if (value.kind === 'class') return value.name;
  if (value.kind === 'aside') return 'Set aside';
  if (value.kind === 'random') return 'Drawn at random';
  return value.kind === 'alike' ? `Like ${nameOf(value.id)}` : undefined;
};

function Lists() {
  const lists = [
    { kind: 'next', label: 'Next', total: undefined },
    { kind: 'suggested', label: 'Suggested', total: suggested.value.length },
    { kind: 'unlabelled', label: 'Unlabelled', total: present.value.filter(({ id }) => !marks.value.has(id)).length },
    { kind: 'all', label: 'All', total: present.value.length },
  ] as const;
  const other = titleOf(show.value);
  const group = useRef<HTMLDivElement>(null);
  // On a phone not all of them are in sight.
  useEffect(
    () => group.current?.querySelector('[aria-pressed=true]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' }),
    [show.value],
  );
  return (
    <div class="lists" role="group" aria-label="Which images" ref={group}>
      {lists.map(({ kind, label, total }) => (
        <button key={kind} aria-pressed={show.value.kind === kind} onClick={() => showImages({ kind })}>
          {label}
          {total !== undefined && <small> {count(total)}</small>}
        </button>
      ))}
      {other !== undefined && (
        <button aria-pressed={true}>
          {other} <small>{count(ids.value.length)}</small>
        </button>
      )}
    </div>
  );
}

export function Toolbar() {
  const chosen = selection.value.size;
  return (
    <div class="toolbar" onMouseDown={leaveKeyboard}>
      <Lists />
      <div class="tools">
        {chosen > 0 && (
          <button class="quiet" onClick={() => selectOnly([])}>
            {of(chosen, 'image')} selected <Icon name="close" />
          </button>
        )}
        <button class="quiet" onClick={() => void showAlike().catch(complain)}>
          More like this
        </button>
        <UndoButtons undo={undoStep} redo={redoStep} />
        <button
          class="quiet square"
          aria-label={isSingle.value ? 'Grid' : 'One image'}
          onClick={() => (isSingle.value = !isSingle.value)}
        >
          <Icon name={isSingle.value ? 'grid' : 'single'} />
        </button>
        <button
          class="quiet square"
          aria-label={isTouch.value ? 'Help' : 'Keys'}
          onClick={() => (dialog.value = 'help')}
        >
          ?
        </button>
      </div>
    </div>
  );
}
