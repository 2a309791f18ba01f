/** Which of the finished runs a section shows. */
import { go, type Section } from '../route.ts';
import { chosenRun, finished } from '../try/state.ts';

export function RunSelect({ section, label }: { readonly section: Section; readonly label: string }) {
  return (
    <>
      <label for="run">{label}</label>
      <select id="run" value={chosenRun.value} onChange={({ currentTarget }) => go(section, currentTarget.value)}>
        {finished.value.map(({ name }) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </>
  );
}
