/** One option of a form; left empty it has its usual value. */
import { useState } from 'preact/hooks';
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
  const isWordOrNumber = kind === 'number' && choices.length > 0;
  return (
    <>
      <Entry
        id={id}
        says={described}
        type={kind === 'number' && !isWordOrNumber ? 'number' : 'text'}
        words={isWordOrNumber ? `${id}-words` : undefined}
        empty={field.empty}
        value={value}
        onChange={(entered) => {
          if (entered === '') onChange(undefined);
          else onChange(kind === 'number' && !Number.isNaN(Number(entered)) ? Number(entered) : entered);
        }}
      />
      {isWordOrNumber && (
        <datalist id={`${id}-words`}>
          {choices.map((word) => (
            <option key={word} value={word} />
          ))}
        </datalist>
      )}
    </>
  );
}

interface Typed {
  readonly id: string;
  readonly says: string;
  readonly type: 'text' | 'number';
  /** The list of words that may stand instead of a number. */
  readonly words: string | undefined;
  readonly empty: string | undefined;
  readonly value: Value | undefined;
  readonly onChange: (entered: string) => void;
}

/**
 * What is typed stands as it is typed until the keyboard leaves: "0.0" is on its way to 0.05, and no 0. Of words, which
 * are known when all of it is typed, nothing is told before.
 */
function Entry({ id, says, type, words, empty, value, onChange }: Typed) {
  const [typed, setTyped] = useState<string>();
  return (
    <input
      id={id}
      type={type}
      step={type === 'number' ? 'any' : undefined}
      list={words}
      aria-describedby={says}
      placeholder={empty}
      value={typed ?? (value === undefined ? '' : String(value))}
      onInput={({ currentTarget }) => {
        setTyped(currentTarget.value);
        if (words === undefined) onChange(currentTarget.value);
      }}
      onChange={({ currentTarget }) => onChange(currentTarget.value)}
      onBlur={() => setTyped(undefined)}
    />
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
