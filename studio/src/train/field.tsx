/** One option of a form; left empty it has its usual value. */
import type { OptionField } from '../protocol.ts';

export type Value = string | number | boolean;

interface Given {
  readonly field: OptionField;
  readonly value: Value | undefined;
  readonly onChange: (value: Value | undefined) => void;
}

/** Help of the command line as a form says it. */
const sentence = (says: string): string => `${says.charAt(0).toUpperCase()}${says.slice(1)}`.replaceAll('`', '');

function Control({ field, value, onChange, id }: Given & { readonly id: string }) {
  const { kind, choices = [] } = field;
  const described = `${id}-says`;
  if (kind === 'choice')
    return (
      <select
        id={id}
        aria-describedby={described}
        value={value === undefined ? '' : String(value)}
        onChange={({ currentTarget }) => onChange(currentTarget.value === '' ? undefined : currentTarget.value)}
      >
        <option value="">{field.empty}</option>
        {choices
          .filter((word) => word !== field.empty)
          .map((word) => (
            <option key={word} value={word}>
              {word}
            </option>
          ))}
      </select>
    );
  const text = (entered: string): void => {
    if (entered === '') onChange(undefined);
    else onChange(kind === 'number' && !Number.isNaN(Number(entered)) ? Number(entered) : entered);
  };
  const given = {
    id,
    'aria-describedby': described,
    'placeholder': field.empty,
    'value': value === undefined ? '' : String(value),
    'onInput': ({ currentTarget }: { currentTarget: HTMLInputElement }) => text(currentTarget.value),
  };
  if (kind === 'text') return <input type="text" {...given} />;
  if (choices.length === 0) return <input type="number" step="any" {...given} />;
  // A number, or a word that stands instead of one: known when all of it is typed.
  const { onInput: onChanged, ...others } = given;
  return (
    <>
      <input type="text" list={`${id}-words`} {...others} onChange={onChanged} />
      <datalist id={`${id}-words`}>
        {choices.map((word) => (
          <option key={word} value={word} />
        ))}
      </datalist>
    </>
  );
}

export function Field(given: Given) {
  const { field, value, onChange } = given;
  const id = `option-${field.name}`;
  const says = <small id={`${id}-says`}>{sentence(field.says)}</small>;
  if (field.kind === 'flag')
    return (
      <div class="field flag">
        <label for={id}>
          <input
            id={id}
            type="checkbox"
            aria-describedby={`${id}-says`}
            checked={value === undefined ? field.usual === true : value === true}
            onChange={({ currentTarget: { checked } }) =>
              onChange(checked === (field.usual === true) ? undefined : checked)
            }
          />
          {field.label}
        </label>
        {says}
      </div>
    );
  return (
    <div class="field">
      <label for={id}>{field.label}</label>
      <Control {...given} id={id} />
      {says}
    </div>
  );
}
