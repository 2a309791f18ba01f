/** Labels as this window shows them: what the server said last, and on top what is on its way there. */
import { computed, signal } from '@preact/signals';
import type { ClassChange, LabelAnswer, LabelChange, Labels } from '../protocol.ts';
import { aside, classOf, inverse, isSame, type Change, type Mark, type Step } from './marks.ts';
import { complain } from './notices.ts';
import { get, post } from './requests.ts';

const saved = signal<Labels>({ version: -1, classes: [], labels: [], skipped: [] });
const onTheirWay = signal<readonly Step[]>([]);

/** Marks by id; an image without one is absent. */
export const marks = computed<ReadonlyMap<number, Mark>>(() => {
  const all = new Map<number, Mark>(saved.value.labels.map(({ id, label }) => [id, label]));
  for (const id of saved.value.skipped) all.set(id, aside);
  for (const { changes } of onTheirWay.value)
    for (const { id, to } of changes) {
      if (to === null) all.delete(id);
      else all.set(id, to);
    }
  return all;
});

/** Images whose label is a suggestion that was accepted; a label that is taken back comes back as what it was. */
const accepted = computed<ReadonlySet<number>>(() => {
  const all = new Set(saved.value.labels.flatMap(({ id, source }) => (source === 'accepted' ? [id] : [])));
  for (const { changes } of onTheirWay.value)
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

/** Whether something is still on its way to the server. */
export const isSaving = (): boolean => onTheirWay.value.length > 0;

export const labelled = computed(() => [...counts.value.values()].reduce((sum, count) => sum + count, 0));
export const setAside = computed(() => marks.value.size - labelled.value);

/** Changes that another window was first with. */
export interface Conflict {
  readonly step: Step;
  readonly now: ReadonlyMap<number, string | null>;
}
export const conflict = signal<Conflict | null>(null);

const undoable = signal<readonly Step[]>([]);
const redoable = signal<readonly Step[]>([]);
export const canUndo = computed(() => undoable.value.length > 0);
export const canRedo = computed(() => redoable.value.length > 0);

export async function loadLabels(): Promise<void> {
  saved.value = await get<Labels>('/labels');
}

/** Another window has changed something. */
export function hearLabels(version: number): void {
  if (version > saved.value.version && onTheirWay.value.length === 0) void loadLabels().catch(complain);
}

/** Marks images; those that have the mark already are left alone. Returns how many change. */
export function mark(ids: Iterable<number>, to: Mark, source: LabelChange['source'] = 'person'): number {
  return markEach(
    [...ids].map((id) => ({ id, to })),
    source,
  );
}

export function markEach(
  wanted: readonly { readonly id: number; readonly to: Mark }[],
  source: LabelChange['source'] = 'person',
): number {
  const changes = wanted
    .map(({ id, to }): Change => {
      const wasFrom = accepted.value.has(id) ? 'accepted' : 'person';
      return { id, was: markOf(id), to, wasFrom, source };
    })
    .filter(({ was, to }) => !isSame(was, to));
  if (changes.length === 0) return 0;
  const known = new Set(classes.value);
  const made = new Set(changes.flatMap(({ to }) => classOf(to) ?? []).filter((name) => !known.has(name)));
  const step = { changes, made: [...made] };
  undoable.value = [...undoable.value, step];
  redoable.value = [];
  send(step);
  return changes.length;
}

/** Takes the last step back; returns the images that it was about. */
export function undo(): readonly number[] {
  const step = undoable.value.at(-1);
  if (step === undefined) return [];
  undoable.value = undoable.value.slice(0, -1);
  redoable.value = [...redoable.value, step];
  send(inverse(step));
  for (const name of step.made) last = last.then(() => forgetClass(name)).catch(complain);
  return step.changes.map(({ id }) => id);
}

export function redo(): readonly number[] {
  const step = redoable.value.at(-1);
  if (step === undefined) return [];
  redoable.value = redoable.value.slice(0, -1);
  undoable.value = [...undoable.value, step];
  send(step);
  return step.changes.map(({ id }) => id);
}

let last: Promise<void> = Promise.resolve();

/** Removes a class that nothing is of any more; another window may use it by now. */
async function forgetClass(name: string): Promise<void> {
  if ((counts.value.get(name) ?? 0) > 0 || !saved.value.classes.includes(name)) return;
  await changeClasses({ remove: name }).catch(loadLabels);
}

/** Settles when all that was marked so far is on the disk, or was refused. */
export const delivered = (): Promise<void> => last;

function send(step: Step): void {
  onTheirWay.value = [...onTheirWay.value, step];
  last = last.then(() => deliver(step)).catch(complain);
}

/** Sends one step; those behind it wait. */
async function deliver(step: Step): Promise<void> {
  const { changes } = step;
  const body = changes.map(({ id, was, to, source }): LabelChange => ({ id, was: classOf(was), to, source }));
  const forget = (): void => {
    onTheirWay.value = onTheirWay.value.filter((one) => one !== step);
  };
  try {
    const { conflicts, version } = await post<LabelAnswer>('/labels', body, [409]);
    if (conflicts !== undefined) {
      undoable.value = undoable.value.filter((one) => one !== step);
      conflict.value = { step, now: new Map(conflicts.map(({ id, now }) => [id, now])) };
    } else if (version === saved.value.version + 1) {
      saved.value = applied(saved.value, step, version);
      forget();
      return;
    }
    await loadLabels();
  } catch (error) {
    undoable.value = undoable.value.filter((one) => one !== step);
    throw error;
  } finally {
    forget();
  }
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

/** Ends a conflict: with what this window wanted, or with what is there; what is in no conflict is done. */
export function resolve(isMine: boolean): void {
  const { step, now } = conflict.value!;
  conflict.value = null;
  markEach(
    step.changes.filter(({ id }) => isMine || !now.has(id)).map(({ id, to }) => ({ id, to })),
    step.changes[0]?.source,
  );
}

export async function changeClasses(change: ClassChange): Promise<void> {
  saved.value = await post<Labels>('/classes', change);
}
