/** Listens to the server, and loads what has changed; a window that nobody sees does not listen. */
import { signal } from '@preact/signals';
import type { StudioEvent } from '../protocol.ts';
import { loadAssistant, proposed } from './assistant.ts';
import { folder, hearProgress, loadFolder } from './folder.ts';
import { hearLabels, loadLabels } from './labels.ts';
import { complain } from './notices.ts';
import { tryAgain } from './outbox.ts';
import { beginAnew, isReloading } from './places.ts';
import { loadQueues } from './queues.ts';
import { hearRun, isGoing, loadRuns, runs } from './runs.ts';
import { returned } from './requests.ts';
import { isSaving, sendWaiting } from './steps.ts';
import { route } from '../route.ts';

export const connection = signal<'opening' | 'open' | 'lost'>('opening');

/** Whether it was loaded what there is: before, the page would say that there is nothing. */
export const isOpened = signal(false);

let source: EventSource | undefined;
/** Milliseconds after which runs that are under way are asked for again. */
const patience = 5000;

/** Proposals are asked for only where they are shown: the server remembers which it drew at random. */
const refresh = (): Promise<void> => (route.value.section === 'label' ? proposed.more('better') : Promise.resolve());

function hear(event: StudioEvent): void {
  if (event.type === 'opened') beginAnew();
  else if (event.type === 'progress') hearProgress(event.progress);
  else if (event.type === 'folder') load(loadFolder, loadLabels, loadAssistant, loadQueues, refresh);
  else if (event.type === 'labels') hearLabels(event.version);
  else if (event.type === 'assistant') load(loadAssistant, loadQueues, refresh);
  else hearRun(event.run);
}

function load(...all: readonly (() => Promise<void>)[]): void {
  void Promise.all(all.map((one) => one())).catch(complain);
}

let hasBegun = false;

/** Loads what happened while nobody listened, maybe on a server that was started anew since. */
async function catchUp(): Promise<void> {
  const isFirst = folder.value === null,
    opened = loadFolder();
  // Until it is known which folder the server means, it refuses everything else.
  if (!isFirst) await opened;
  tryAgain();
  const known = Promise.all([opened, ...[loadLabels, loadAssistant, loadQueues, loadRuns].map((one) => one())]);
  await Promise.all([known.finally(() => (isOpened.value = true)), refresh()]);
  if (!hasBegun) sendWaiting();
  hasBegun = true;
}

function open(): void {
  source?.close();
  source = new EventSource('/api/events');
  source.addEventListener('message', ({ data }) => hear(JSON.parse(String(data)) as StudioEvent));
  source.addEventListener('open', () => {
    if (connection.value === 'lost') returned.value++;
    connection.value = 'open';
    load(catchUp);
  });
  source.addEventListener('error', () => {
    connection.value = 'lost';
    if (source?.readyState === EventSource.CLOSED) setTimeout(() => source !== undefined && open(), 2000);
  });
}

/** Begins to listen. A browser keeps six connections to a host for all windows together. */
export function listen(): void {
  open();
  // An answer that was on its way for long may be older than the last event.
  setInterval(() => {
    if (source !== undefined && runs.value.some(isGoing)) loadRuns().catch(() => undefined);
  }, patience);
  window.addEventListener('beforeunload', (event) => {
    if (isSaving() && !isReloading()) event.preventDefault();
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) open();
    else {
      source?.close();
      source = undefined;
    }
  });
}
