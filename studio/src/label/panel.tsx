/** Beside the images: the estimate, the classes with their keys, and what the model suggests. */
import { useState } from 'preact/hooks';
import { count, of, percent } from '../parts/numbers.ts';
import { isTouch } from '../parts/touch.ts';
import { changeClasses, classes, counts, setAside } from '../state/labels.ts';
import { aside, classOf } from '../state/marks.ts';
import { markOf } from '../state/labels.ts';
import { complain } from '../state/notices.ts';
import { askClass, dialog, give } from './actions.ts';
import { hueOf } from './cell.tsx';
import { Estimate } from './estimate.tsx';
import { focusImages, leaveKeyboard } from './keys.ts';
import { focused, leastSure, selection, show, showImages, suggested } from './view.ts';

function ClassRow({ name, place }: { readonly name: string; readonly place: number }) {
  const labelled = counts.value.get(name) ?? 0;
  const isCurrent = focused.value !== undefined && classOf(markOf(focused.value)) === name;
  return (
    <li>
      <button class={`class ${hueOf(name)}`} aria-pressed={isCurrent} onClick={() => give(name)}>
        <kbd>{place < 9 ? place + 1 : '·'}</kbd>
        <span>{name}</span>
      </button>
      <button
        class="quiet number"
        aria-label={`Show ${of(labelled, 'image')} of ${name}`}
        onClick={() => showImages({ kind: 'class', name })}
      >
        {count(labelled)}
      </button>
    </li>
  );
}

function AddClass() {
  const [name, setName] = useState('');
  const add = (event: Event): void => {
    event.preventDefault();
    if (name.trim() === '') return;
    changeClasses({ add: name }).then(() => setName(''), complain);
  };
  return (
    <form class="add" onSubmit={add}>
      <input
        aria-label="Name of a new class"
        placeholder="New class"
        value={name}
        maxLength={200}
        onInput={({ currentTarget }) => setName(currentTarget.value)}
        onKeyDown={({ key }) => key === 'Escape' && focusImages()}
      />
      <button type="submit" disabled={name.trim() === ''}>
        Add
      </button>
      <button type="button" class="quiet" disabled={classes.value.length === 0} onClick={() => (dialog.value = 'edit')}>
        Edit
      </button>
    </form>
  );
}

export function Panel() {
  const sure = suggested.value.length;
  const chosen = selection.value.size;
  return (
    <aside class="panel" aria-label="Classes and estimate">
      <Estimate />
      <section aria-label="Classes">
        <h2>
          {chosen > 0 ? `${count(chosen)} selected` : 'Classes'}
          <button class="quiet" onClick={askClass}>
            Label as… <kbd>C</kbd>
          </button>
        </h2>
        {classes.value.length === 0 && (
          <p class="note">
            {isTouch.value
              ? 'Add a first class here; then a tap on it labels the image with the frame.'
              : 'Add a first class here, or press C to name that of the image with the frame.'}
          </p>
        )}
        <ol class="classes" onMouseDown={leaveKeyboard}>
          {classes.value.map((name, place) => (
            <ClassRow key={name} name={name} place={place} />
          ))}
          <li>
            <button class="class" onClick={() => give(aside)}>
              <kbd>S</kbd>
              <span>set aside</span>
            </button>
            <button
              class="quiet number"
              aria-label={`Show ${of(setAside.value, 'image')} that were set aside`}
              onClick={() => showImages({ kind: 'aside' })}
            >
              {count(setAside.value)}
            </button>
          </li>
        </ol>
        <AddClass />
      </section>
      {sure > 0 && show.value.kind !== 'suggested' && (
        <section class="suggestions" aria-label="Suggested labels">
          <p>
            The model is at least {percent(leastSure.value)} sure of {of(sure, 'image')}.
          </p>
          <button onClick={() => showImages({ kind: 'suggested' })}>Review and accept</button>
        </section>
      )}
    </aside>
  );
}
