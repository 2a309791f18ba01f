/** A bar that says how much is done. */
import { percent } from './numbers.ts';

export function Bar({ label, done }: { readonly label: string; readonly done: number }) {
  return (
    <div class="bar" role="progressbar" aria-label={label} aria-valuenow={Math.round(100 * done)}>
      <i style={{ width: percent(Math.min(1, done), 1) }} />
    </div>
  );
}
