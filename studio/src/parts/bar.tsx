/** A bar that says how much is done, or only that something is: `done` is undefined then. */
import { percent } from './numbers.ts';

export function Bar({ label, done }: { readonly label: string; readonly done: number | undefined }) {
  const now = done === undefined ? undefined : Math.round(100 * done);
  return (
    <div class={now === undefined ? 'bar open' : 'bar'} role="progressbar" aria-label={label} aria-valuenow={now}>
      <i style={{ width: percent(Math.min(1, done ?? 1), 1) }} />
    </div>
  );
}
