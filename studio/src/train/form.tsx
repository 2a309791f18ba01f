/** The form of a training: what matters first, the rest under "More options". */
import { useEffect, useState } from 'preact/hooks';
import type { OptionField } from '../protocol.ts';
import { of } from '../parts/numbers.ts';
import { folder } from '../state/folder.ts';
import { classes, labelled } from '../state/labels.ts';
import { complain, say } from '../state/notices.ts';
import { returned } from '../state/requests.ts';
import { formOf, startRun } from '../state/runs.ts';
import { ExpectedTime } from './expected.tsx';
import { Field } from './field.tsx';
import { asked, command, setValue, values, type Command } from './values.ts';

const commands = [
  {
    command: 'learn',
    title: 'Find the best',
    says: 'Tries techniques, cheapest first, and keeps what raises held-out accuracy.',
  },
  { command: 'train', title: 'Train once', says: 'One training with the options you choose.' },
] as const;

function useForm(name: Command): readonly OptionField[] {
  const [form, setForm] = useState<{ readonly of: Command; readonly fields: readonly OptionField[] } | null>(null);
  useEffect(() => {
    formOf(name).then((fields) => setForm({ of: name, fields }), complain);
  }, [name, returned.value]);
  return form?.of === name ? form.fields : [];
}

function Fields({ fields }: { readonly fields: readonly OptionField[] }) {
  return (
    <div class="fields">
      {fields.map((field) => (
        <Field
          key={field.name}
          field={field}
          value={values.value[command.value][field.name]}
          onChange={(value) => setValue(field.name, value)}
        />
      ))}
    </div>
  );
}

function More({ fields }: { readonly fields: readonly OptionField[] }) {
  const groups = [...new Set(fields.map(({ group }) => group))];
  if (fields.length === 0) return null;
  return (
    <details>
      <summary>More options</summary>
      {groups.map((group) => (
        <fieldset key={group}>
          <legend>{group}</legend>
          <Fields fields={fields.filter((field) => field.group === group)} />
        </fieldset>
      ))}
    </details>
  );
}

/** What is missing for a training, if anything is. */
function missing(): string | null {
  if (folder.value?.at === null) return 'No folder of images is open.';
  if (folder.value?.images === 0) return 'There are no images in this folder yet.';
  if (classes.value.length < 2) return 'Label images of at least two classes first.';
  if (folder.value?.backbone === null && values.value[command.value]['mode'] !== 'scratch')
    return 'A backbone is missing; see Start.';
  return null;
}

export function StartForm() {
  const fields = useForm(command.value);
  const [isStarting, setStarting] = useState(false);
  const lack = missing();
  const request = asked();
  const isFirst = ({ rank }: OptionField): boolean => rank !== undefined;
  const submit = (event: Event): void => {
    event.preventDefault();
    if (isStarting) return;
    setStarting(true);
    startRun(request)
      .then(({ name }) => say(`${name} was started with ${of(labelled.value, 'label')}.`), complain)
      .finally(() => setStarting(false));
  };
  return (
    <form class="card training" onSubmit={submit}>
      <div class="kinds" role="radiogroup" aria-label="What to do">
        {commands.map((one) => (
          <label key={one.command} class="kind">
            <input
              type="radio"
              name="command"
              checked={command.value === one.command}
              onChange={() => (command.value = one.command)}
            />
            <span>
              <b>{one.title}</b>
              <small>{one.says}</small>
            </span>
          </label>
        ))}
      </div>
      <Fields fields={fields.filter(isFirst)} />
      <More fields={fields.filter((field) => !isFirst(field))} />
      <footer>
        <button class="primary" type="submit" disabled={lack !== null} aria-disabled={isStarting}>
          {isStarting ? 'Starting…' : 'Start'}
        </button>
        <p class="note">
          {lack ?? `On ${of(labelled.value, 'label')} of ${of(classes.value.length, 'class', 'classes')}.`}
        </p>
        {lack === null && <ExpectedTime request={request} />}
      </footer>
    </form>
  );
}
