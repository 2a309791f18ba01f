/** A form of a model that is being made, to be downloaded. */
import { signal } from '@preact/signals';
import type { TakeAway, TakeAwayForm } from '../protocol.ts';
import { say } from '../state/notices.ts';
import { post } from '../state/requests.ts';

interface Taking {
  readonly run: string;
  readonly form: TakeAwayForm;
  /** The share that is done, where that is known. */
  readonly done: number | undefined;
}

/** One at a time. */
export const taking = signal<Taking | null>(null);

/** Has it made, asking again until it is there, and hands it to the browser. */
export async function takeAway(run: string, form: TakeAwayForm, file: string): Promise<void> {
  if (taking.value !== null) return;
  const address = `/runs/${encodeURIComponent(run)}/take/${form}`;
  taking.value = { run, form, done: undefined };
  try {
    for (;;) {
      const { done, bytes } = await post<TakeAway>(address);
      if (bytes !== null) break;
      taking.value = { run, form, done: done ?? undefined };
    }
    const link = document.createElement('a');
    link.href = `/api${address}`;
    link.download = file;
    link.click();
    say(`${file} is in your downloads.`);
  } finally {
    taking.value = null;
  }
}
