/**
 * The labels of a folder: in memory, in `labels.csv` beside the images, and as a history of all changes in
 * `.pupil/history.jsonl`. A change is acknowledged once both are on the disk, so a killed server loses none.
 */
import { createHash } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { spreadsheet } from '../artifact/csv.js';
import { makeFolder, writeError, writeFileAtomically } from '../artifact/files.js';
import { naturalOrder } from '../data/dataset.js';
import { normalName } from '../data/layout.js';
import { readTable } from '../data/manifest.js';
import { PupilError } from '../errors.js';
import type { ClassChange, LabelAnswer, LabelChange, Labels, LabelSource } from './protocol.js';

export const manifestName = 'labels.csv';
/** The studio's own files, below the folder; scans pass over it. */
export const studioFolder = '.pupil';

/** What is known of one image. */
interface Entry {
  readonly label: string | null;
  readonly source: LabelSource | 'skipped' | '';
  /** It was proposed at random. */
  readonly random: boolean;
}

export interface LabelStore {
  /** Takes on the images that a scan found, by id, with the labels that the folder's layout gives them. */
  attach(paths: readonly string[], layout: ReadonlyMap<string, string>): void;
  labels(): Labels;
  labelOf(id: number): string | null;
  isSkipped(id: number): boolean;
  isRandom(id: number): boolean;
  /** Labels given by a person one by one, and images set aside. */
  answered(): number;
  change(changes: readonly LabelChange[]): Promise<LabelAnswer>;
  changeClasses(change: ClassChange): Promise<Labels>;
  /** Remembers images that are proposed at random. */
  propose(ids: readonly number[]): Promise<void>;
  /** Settles when nothing is being written. */
  idle(): Promise<void>;
}

/** Longest name of a class. */
const longest = 200;
const blank: Entry = { label: null, source: '', random: false };

/** The name of a class as it is kept. Throws `usage` for what cannot be one. */
function className(name: unknown): string {
  const text = typeof name === 'string' ? normalName(name.trim()) : '';
  if (text === '' || text.length > longest || /[\u0000-\u001f\u007f]/.test(text))
    throw new PupilError('usage', `a class has a name of 1 to ${longest} characters in one line`);
  return text;
}

/** Opens the labels of a folder; undefined: there are none. Throws `bad-data` for a labels.csv that cannot be read. */
export async function openLabels(folder: string | undefined, changed: (version: number) => void): Promise<LabelStore> {
  if (folder === undefined) return noLabels;
  const manifest = join(folder, manifestName),
    history = join(folder, studioFolder, 'history.jsonl'),
    classFile = join(folder, studioFolder, 'classes.json');
  await makeFolder(join(folder, studioFolder));
  const saved = await readLabels(manifest);
  const entries = saved.entries;
  let classes = await readClasses(classFile, entries);
  let paths: readonly string[] = [];
  const ids = new Map<string, number>();
  let version = (await readFile(history, 'utf8').catch(() => '')).split('\n').length - 1;
  let written = saved.hash;

  const entryOf = (id: number): Entry => entries.get(paths[id]!) ?? blank;
  const put = (path: string, entry: Entry): void => void entries.set(path, entry);

  const save = async (): Promise<void> => {
    const found = await hashOf(manifest);
    if (found !== undefined && found !== written) await setAside(folder, manifest, found);
    const rows = [...entries]
      .sort(([a], [b]) => naturalOrder(a, b))
      .map(([path, { label, source, random }]) => [
        path,
        label ?? '',
        source,
        random ? '1' : '',
        ...saved.columns.map((column) => saved.others.get(path)?.get(column) ?? ''),
      ]);
    const text = spreadsheet([['path', 'label', 'source', 'random', ...saved.columns], ...rows]);
    await writeFileAtomically(manifest, text);
    written = digest(Buffer.from(text));
    await writeFileAtomically(classFile, JSON.stringify(classes));
  };
  // What came while a file was written is written together.
  let pending: string[] = [],
    writing: Promise<void> = Promise.resolve(),
    next: Promise<void> | undefined;
  const commit = (record: object): Promise<void> => {
    pending.push(`${JSON.stringify({ time: new Date().toISOString(), ...record })}\n`);
    next ??= writing
      .catch(() => undefined)
      .then(async () => {
        const lines = pending;
        pending = [];
        next = undefined;
        writing = append(history, lines.join('')).then(save);
        await writing;
      });
    return next;
  };

  const store: LabelStore = {
    attach(found, layout) {
      paths = found;
      ids.clear();
      paths.forEach((path, id) => ids.set(path, id));
      for (const [path, label] of layout) if (!entries.has(path)) put(path, { label, source: 'folder', random: false });
      classes = withClasses(classes, entries);
      version++;
      changed(version);
    },
    labels: () => ({
      version,
      classes,
      labels: [...entries].flatMap(([path, { label, source, random }]) => {
        const id = ids.get(path);
        return id === undefined || label === null || source === 'skipped' || source === ''
          ? []
          : [{ id, label, source, random }];
      }),
      skipped: paths.flatMap((_, id) => (store.isSkipped(id) ? [id] : [])),
    }),
    labelOf: (id) => entryOf(id).label,
    isSkipped: (id) => entryOf(id).source === 'skipped',
    isRandom: (id) => entryOf(id).random,
    answered: () => [...entries.values()].filter(({ source }) => source === 'person' || source === 'skipped').length,
    async change(changes) {
      const conflicts = changes
        .filter(({ id, was }) => entryOf(id).label !== was)
        .map(({ id }) => ({ id, now: entryOf(id).label }));
      if (conflicts.length > 0) return { version, conflicts };
      const record = changes.map(({ id, was, to, source }) => {
        const path = paths[id];
        if (path === undefined) throw new PupilError('not-found', `there is no image ${id}`);
        const label = typeof to === 'string' ? className(to) : null;
        return { path, was, to: label, source: typeof to === 'object' && to !== null ? ('skipped' as const) : source };
      });
      for (const { path, to, source } of record) put(path, { ...blank, ...entries.get(path), label: to, source });
      classes = withClasses(classes, entries);
      const now = ++version;
      await commit({ changes: record });
      changed(now);
      return { version: now };
    },
    async changeClasses(change) {
      const uses = (name: string): boolean => [...entries.values()].some(({ label }) => label === name);
      if ('add' in change) {
        const name = className(change.add);
        if (!classes.includes(name)) classes = [...classes, name];
      } else if ('rename' in change) {
        const to = className(change.to);
        if (!classes.includes(change.rename)) throw new PupilError('not-found', 'there is no such class');
        classes = [...new Set(classes.map((name) => (name === change.rename ? to : name)))];
        for (const [path, entry] of entries) if (entry.label === change.rename) put(path, { ...entry, label: to });
      } else {
        if (uses(change.remove)) throw new PupilError('usage', 'only a class without labels can be removed');
        classes = classes.filter((name) => name !== change.remove);
      }
      const now = ++version;
      await commit({ class: change });
      changed(now);
      return store.labels();
    },
    async propose(wanted) {
      const fresh = wanted.filter((id) => !entryOf(id).random);
      if (fresh.length === 0) return;
      for (const id of fresh) put(paths[id]!, { ...entryOf(id), random: true });
      await commit({ random: fresh.map((id) => paths[id]) });
    },
    idle: async () => {
      await (next ?? writing).catch(() => undefined);
    },
  };
  return store;
}

const nothing: Labels = { version: 0, classes: [], labels: [], skipped: [] };
/** Where no folder is open. */
const noLabels: LabelStore = {
  attach: () => undefined,
  labels: () => nothing,
  labelOf: () => null,
  isSkipped: () => false,
  isRandom: () => false,
  answered: () => 0,
  change: () => Promise.resolve({ version: 0 }),
  changeClasses: () => Promise.resolve(nothing),
  propose: () => Promise.resolve(),
  idle: () => Promise.resolve(),
};

/** The classes in their order, and behind them those that only labels know. */
const withClasses = (classes: readonly string[], entries: ReadonlyMap<string, Entry>): readonly string[] => {
  const known = new Set(classes);
  const more = new Set<string>();
  for (const { label } of entries.values()) if (label !== null && !known.has(label)) more.add(label);
  return more.size === 0 ? classes : [...classes, ...[...more].sort(naturalOrder)];
};

async function readClasses(file: string, entries: ReadonlyMap<string, Entry>): Promise<readonly string[]> {
  let kept: unknown;
  try {
    kept = JSON.parse(await readFile(file, 'utf8'));
  } catch {
    // none yet
  }
  const names = Array.isArray(kept) ? kept.filter((name): name is string => typeof name === 'string') : [];
  return withClasses(names, entries);
}

interface Saved {
  readonly entries: Map<string, Entry>;
  /** Columns that are not the studio's, which stay. */
  readonly columns: readonly string[];
  readonly others: ReadonlyMap<string, ReadonlyMap<string, string>>;
  readonly hash: string | undefined;
}

async function readLabels(manifest: string): Promise<Saved> {
  const entries = new Map<string, Entry>(),
    others = new Map<string, Map<string, string>>();
  if ((await stat(manifest).catch(() => undefined)) === undefined)
    return { entries, columns: [], others, hash: undefined };
  const { columns, rows } = await readTable(manifest, []);
  const place = (name: string): number => columns.findIndex((column) => column.toLowerCase() === name);
  const [path, label, source, random] = [place('path'), place('label'), place('source'), place('random')];
  if (path === -1 || label === -1)
    throw new PupilError('bad-data', `${manifest}: it has no columns path and label; rename the file or mend it`);
  const more = columns.filter((_, i) => ![path, label, source, random].includes(i));
  for (const { cells } of rows) {
    const cell = (i: number): string => String(cells[i] ?? '');
    const name = cell(path).replaceAll('\\', '/').replace(/^\.\//, '');
    const text = normalName(cell(label).trim());
    const said = cell(source);
    const kept = said === 'accepted' || said === 'folder' ? said : text === '' ? '' : 'person';
    entries.set(name, {
      label: text === '' ? null : text,
      source: text === '' && said === 'skipped' ? 'skipped' : kept,
      random: cell(random) === '1',
    });
    others.set(name, new Map(more.map((column) => [column, cell(columns.indexOf(column))])));
  }
  return { entries, columns: more, others, hash: await hashOf(manifest) };
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 16);

const hashOf = (file: string): Promise<string | undefined> => readFile(file).then(digest, () => undefined);

/** Keeps what somebody else wrote to labels.csv while it was open here. */
const setAside = async (folder: string, manifest: string, hash: string): Promise<void> =>
  writeFileAtomically(join(folder, studioFolder, `labels-${hash}.csv`), await readFile(manifest));

/** Appends lines and waits until they are on the disk. */
async function append(file: string, lines: string): Promise<void> {
  try {
    const handle = await open(file, 'a');
    try {
      await handle.appendFile(lines);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw writeError(file, error);
  }
}
