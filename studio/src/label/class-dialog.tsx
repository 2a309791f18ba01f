/** Labels with any class, found by its first letters, or with a new one. */
import { useState } from 'preact/hooks';
import { Dialog } from '../parts/dialog.tsx';
import { of } from '../parts/numbers.ts';
import { classes } from '../state/labels.ts';
import { dialog, give } from './actions.ts';
import { hueOf } from './cell.tsx';
import { targets } from './view.ts';

/** Classes that hold the text, those that begin with it first. */
export function matching(all: readonly string[], text: string): readonly string[] {
  const sought = text.trim().toLowerCase();
  const found = all.filter((name) => name.toLowerCase().includes(sought));
  const isFirst = (name: string): number => (name.toLowerCase().startsWith(sought) ? 0 : 1);
  return found.sort((a, b) => isFirst(a) - isFirst(b));
}

export function ClassDialog() {
  const [text, setText] = useState('');
  const found = matching([...classes.value], text);
  const name = text.trim();
  const isNew = name !== '' && !classes.value.some((one) => one.toLowerCase() === name.toLowerCase());
  const close = (): void => void (dialog.value = null);
  const choose = (label: string): void => {
    close();
    give(label);
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    const exact = classes.value.find((one) => one.toLowerCase() === name.toLowerCase());
    const chosen = exact ?? (name === '' ? undefined : found.length === 1 ? found[0] : name);
    if (chosen !== undefined) choose(chosen);
  };
  return (
    <Dialog title={`Label ${of(targets().length, 'image')} as`} onClose={close}>
      <form onSubmit={submit}>
        <input
          aria-label="Class"
          autoFocus
          placeholder="A class, or the name of a new one"
          value={text}
          maxLength={200}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
      </form>
      <ul class="choices">
        {found.map((one) => (
          <li key={one}>
            <button class={`class ${hueOf(one)}`} onClick={() => choose(one)}>
              <span>{one}</span>
            </button>
          </li>
        ))}
        {isNew && (
          <li>
            <button class="class" onClick={() => choose(name)}>
              <span>
                new class <b>{name}</b>
              </span>
            </button>
          </li>
        )}
      </ul>
    </Dialog>
  );
}
