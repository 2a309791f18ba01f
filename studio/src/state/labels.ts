/** Labels as this window shows them: what the server said last, and on top what is on its way there. */
import { computed, signal } from '@preact/signals';
import type { ClassChange, Labels } from '../protocol.ts';
import { aside, classOf, type Mark, type Step } from './marks.ts';
import { complain } from './notices.ts';
import { parcels } from './outbox.ts';
import { get, inOrder, post } from './requests.ts';

const saved = signal<Labels>({ version: -1, classes: [], labels: [], skipped: [] });

/** Marks by id; an image without one is absent. */
export const marks = computed<ReadonlyMap<number, Mark>>(() => {
  const all = new Map<number, Mark>(saved.value.labels.map(({ id, label }) => [id, label]));
  for (const id of saved.value.skipped) all.set(id, aside);
  for (const { changes } of parcels.value.map(({ step }) => step))
    for (const { id, to } of changes) {
      if (to === null) all.delete(id);
      else all.set(id, to);
    }
  return all;
});

/** Images whose label is a suggestion that was accepted; a label that is taken back comes back as what it was. */
export const accepted = computed<ReadonlySet<number>>(() => {
  const all = new Set(saved.value.labels.flatMap(({ id, source }) => (source === 'accepted' ? [id] : [])));
  for (const { changes } of parcels.value.map(({ step }) => step))
    for (const { id, source } of changes) {
      if (source === 'accepted') all.add(id);
      else all.delete(id);
    }
  return all;
});

export const markOf = (id: number): Mark => marks.value.get(id) ?? null;

export const classes = computed<readonly string[]>(() => {
  const known = new Set(saved.value.classes);
  for (const mark of marks.value.values()) if (classOf(mark) !== null) known.add(classOf(mark)!);
  return [...known];
});

/** Labels of each class. */
export const counts = computed<ReadonlyMap<string, number>>(() => {
  const all = new Map<string, number>();
  for (const mark of marks.value.values()) if (typeof mark === 'string') all.set(mark, (all.get(mark) ?? 0) + 1);
  return all;
});

export const labelled = computed(() => [...counts.value.values()].reduce((sum, count) => sum + count, 0));
export const setAside = computed(() => marks.value.size - labelled.value);

const hear = inOrder<Labels>((labels) => (saved.value = labels));

export const loadLabels = (): Promise<void> => hear(get('/labels'));

/** Another window has changed something. */
export function hearLabels(version: number): void {
  if (version > saved.value.version && parcels.value.length === 0) void loadLabels().catch(complain);
}

/** The server has taken a step; `version` is of its labels by now. `isAgain`: it may have had it before. */
export async function take(step: Step, version: number, isAgain: boolean): Promise<void> {
  const before = saved.value;
  if (version === before.version + 1 && !isAgain) saved.value = applied(before, step, version);
  // Where it does not answer any more, the others come when it does.
  else await loadLabels().catch(() => (saved.value = applied(before, step, before.version)));
}

function applied({ classes: known, labels, skipped }: Labels, { changes }: Step, version: number): Labels {
  const to = new Map(changes.map((one) => [one.id, one.to]));
  const random = new Set(labels.filter((one) => one.random).map(({ id }) => id));
  const fresh = changes.flatMap((one) => {
    const label = classOf(one.to);
    return label === null ? [] : [{ id: one.id, label, source: one.source, random: random.has(one.id) }];
  });
  return {
    version,
    classes: [...new Set([...known, ...fresh.map(({ label }) => label)])],
    labels: [...labels.filter(({ id }) => !to.has(id)), ...fresh],
    skipped: [
      ...skipped.filter((id) => !to.has(id)),
      ...changes.filter((one) => one.to !== null && classOf(one.to) === null).map(({ id }) => id),
    ],
  };
}

export async function changeClasses(change: ClassChange): Promise<void> {
  saved.value = await post<Labels>('/classes', change);
}
