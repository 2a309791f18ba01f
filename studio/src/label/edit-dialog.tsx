/** Renaming classes, and removing those without labels. A class renamed to another one joins it. */
import { useState } from 'preact/hooks';
import { Dialog } from '../parts/dialog.tsx';
import { of } from '../parts/numbers.ts';
import { changeClasses, classes, counts } from '../state/labels.ts';
import { attempt } from '../state/notices.ts';
import { dialog } from './actions.ts';

function Row({ name }: { readonly name: string }) {
  const [text, setText] = useState(name);
  const labelled = counts.value.get(name) ?? 0;
  const isChanged = text.trim() !== '' && text.trim() !== name;
  const joins = isChanged && classes.value.includes(text.trim());
  const rename = (event: Event): void => {
    event.preventDefault();
    if (isChanged) attempt(() => changeClasses({ rename: name, to: text }));
  };
  return (
    <li>
      <form class="add" onSubmit={rename}>
        <input
          aria-label={`Name of ${name}`}
          value={text}
          maxLength={200}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
        <button type="submit" disabled={!isChanged}>
          {joins ? 'Join' : 'Rename'}
        </button>
        <button
          type="button"
          aria-label={`Remove ${name}`}
          disabled={labelled > 0}
          title={labelled > 0 ? `${of(labelled, 'image')} have this label` : undefined}
          onClick={() => attempt(() => changeClasses({ remove: name }))}
        >
          Remove
        </button>
      </form>
    </li>
  );
}

export function EditDialog() {
  return (
    <Dialog title="Edit classes" onClose={() => (dialog.value = null)}>
      <ul>
        {classes.value.map((name) => (
          <Row key={name} name={name} />
        ))}
      </ul>
      <p class="note">Only a class without labels can be removed.</p>
    </Dialog>
  );
}
