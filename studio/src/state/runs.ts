/** Trainings of this folder. */
import { signal } from '@preact/signals';
import type { OptionField, RunDetail, RunRequest, RunSummary } from '../protocol.ts';
import { get, inOrder, post } from './requests.ts';

/** Newest first. */
export const runs = signal<readonly RunSummary[]>([]);
/** Details of the runs that are looked at. */
export const details = signal<ReadonlyMap<string, RunDetail>>(new Map());
const loading = new Set<string>();

const hearAll = inOrder<RunSummary[]>((all) => (runs.value = all));

export const loadRuns = (): Promise<void> => hearAll(get('/runs'));

export async function loadDetail(name: string): Promise<void> {
  if (loading.has(name)) return;
  loading.add(name);
  try {
    const detail = await get<RunDetail>(`/runs/${encodeURIComponent(name)}`);
    details.value = new Map(details.value).set(name, detail);
  } finally {
    loading.delete(name);
  }
}

export function hearRun(run: RunSummary): void {
  const isKnown = runs.value.some(({ name }) => name === run.name);
  runs.value = isKnown ? runs.value.map((one) => (one.name === run.name ? run : one)) : [run, ...runs.value];
  if (details.value.has(run.name)) void loadDetail(run.name).catch(() => undefined);
}

export async function startRun(request: RunRequest): Promise<RunSummary> {
  const run = await post<RunSummary>('/runs', request);
  hearRun(run);
  return run;
}

export async function tellRun(name: string, what: 'stop' | 'resume'): Promise<void> {
  hearRun(await post<RunSummary>(`/runs/${encodeURIComponent(name)}/${what}`));
}

export const isGoing = ({ state }: RunSummary): boolean =>
  state === 'waiting' || state === 'running' || state === 'stopping';

const forms = new Map<string, Promise<OptionField[]>>();

/** The form of a command; asked for once. */
export function formOf(command: string): Promise<OptionField[]> {
  const form = forms.get(command) ?? get<OptionField[]>(`/options/${command}`);
  forms.set(command, form);
  form.catch(() => forms.delete(command));
  return form;
}

/** The address of a picture of the batch that is learned from now; `moment`: another picture for another one. */
export const batchOf = (name: string, moment: number): string =>
  `/api/runs/${encodeURIComponent(name)}/batch?at=${moment}`;
export const fileOf = (name: string, file: string): string => `/api/runs/${encodeURIComponent(name)}/files/${file}`;
