/** What is not saved yet, why, and what to do. */
import { connection } from '../state/events.ts';
import { folder } from '../state/folder.ts';
import { giveUpStranded, holdUp, stranded, unsaved } from '../state/outbox.ts';
import type { Refused } from '../state/requests.ts';
import { of } from './numbers.ts';

/** What to do about it, by what the server said. */
function advice({ isOfDisk, status, message }: Refused): string {
  if (isOfDisk) return `Why: ${message}.`;
  if (status === 403) return 'It was started again: open the address that it printed in this browser.';
  return 'If it was stopped, start it again and open the address that it prints in this browser.';
}

function Waiting() {
  const { images, isLabels } = unsaved.value;
  if (holdUp.value === null || images === 0) {
    if (connection.value !== 'lost') return null;
    return (
      <p class="lost">
        The studio does not answer. If you stopped it, start it again and open the address that it prints.
      </p>
    );
  }
  return (
    <p class="lost">
      <b>Not saved yet: {of(images, isLabels ? 'label' : 'answer')}; waiting for Pupil.</b> Leave this window open.{' '}
      {advice(holdUp.value)}
    </p>
  );
}

function Stranded() {
  const images = stranded.value.reduce((sum, one) => sum + one.images, 0);
  if (images === 0) return null;
  const folders = stranded.value.map((one) => one.folder).join(', ');
  return (
    <p class="lost">
      <b>
        Not saved yet: {of(images, 'label')} of {folders}.
      </b>{' '}
      {folder.value?.name ?? 'No folder'} is open now; open {folders} in this window to save them.{' '}
      <button onClick={giveUpStranded}>Discard them</button>
    </p>
  );
}

/** Is always there: screen readers hear what comes into it. */
export function Unsaved() {
  return (
    <div class="unsaved" role="status" aria-live="polite">
      <Waiting />
      <Stranded />
    </div>
  );
}
