/**
 * The labels of a folder: in memory, in `labels.csv` beside the images, and as a history of all changes in
 * `.pupil/history.jsonl`. A change is acknowledged once both are on the disk, so a killed server loses none.
 */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { spreadsheet } from '../artifact/csv.js';
import { makeFolder, writeFileAtomically } from '../artifact/files.js';
import { drawnAt } from '../data/columns.js';
import { naturalOrder } from '../data/dataset.js';
import { normalName } from '../data/layout.js';
import { readTable } from '../data/manifest.js';
import { PupilError } from '../errors.js';
import { append } from './append.js';
import type { ClassChange, LabelAnswer, LabelChange, Labels, LabelSource, Mark } from './protocol.js';

export const manifestName = 'labels.csv';
/** The studio's own files, below the folder; scans pass over it. */
export const studioFolder = '.pupil';

/** What is known of one image. */
interface Entry {
  readonly label: string | null;
  readonly source: LabelSource | 'skipped' | '';
  /** Its place in the random sample, from 1; 0: it is not of it. */
  readonly random: number;
}

/** What names changes that were sent, in case they are sent again. */
export interface Delivery {
  readonly step: string;
  /** They may have been made before. */
  readonly isAgain: boolean;
}

export interface LabelStore {
  /** Takes on the images that a scan found, by id, with the labels that the folder's layout gives them. */
  attach(paths: readonly string[], layout: ReadonlyMap<string, string>, absent: ReadonlySet<number>): void;
  /** Of images that are not absent. */
  labels(): Labels;
  labelOf(id: number): string | null;
  markOf(id: number): Mark;
  /** Who gave it; null without one. */
  sourceOf(id: number): LabelSource | null;
  isSkipped(id: number): boolean;
  isRandom(id: number): boolean;
  /** Labels given by a person one by one, and images set aside. */
  answered(): number;
  /** Makes all of them, or none where `conflicts` has some; those of a delivery once, however often it comes. */
  change(changes: readonly LabelChange[], delivery?: Delivery): Promise<LabelAnswer>;
  changeClasses(change: ClassChange): Promise<Labels>;
  /** Remembers images that are of the random sample, with labels or to be asked about, in their random order. */
  propose(ids: readonly number[]): Promise<void>;
  /** Settles when nothing is being written. */
  idle(): Promise<void>;
}

/** Longest name of a class. */
const longest = 200;
const blank: Entry = { label: null, source: '', random: 0 };

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
  await makeFolder(join(folder, studioFolder));
  const files = new LabelFiles(folder, await readLabels(join(folder, manifestName)));
  const { entries } = files.saved;
  const classes = await readClasses(files.classes, entries);
  return new Store(files, { classes, version: await files.beginHistory(), changed });
}

/** Where labels are kept; what comes while files are written is written together after that. */
class LabelFiles {
  readonly manifest: string;
  readonly history: string;
  readonly classes: string;
  #pending: string[] = [];
  #writing: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;
  #written: string | undefined;
  /** Ends a line that a killed server did not finish. */
  #lineEnd = '';
  /** Paths as the file has them. */
  #order: readonly string[] = [];

  constructor(
    readonly folder: string,
    readonly saved: Saved,
  ) {
    this.manifest = join(folder, manifestName);
    this.history = join(folder, studioFolder, 'history.jsonl');
    this.classes = join(folder, studioFolder, 'classes.json');
    this.#written = saved.hash;
  }

  /** Returns how many records the history has. */
  async beginHistory(): Promise<number> {
    const text = await this.#readHistory();
    this.#lineEnd = text === '' || text.endsWith('\n') ? '' : '\n';
    return text.split('\n').length - 1;
  }

  /**
   * Whether the changes of a step were made: the history has them, and the labels too, if they were not changed again
   * later. A server that was killed may have written the history alone.
   */
  async hasMade(step: string): Promise<boolean> {
    const lines = (await this.#readHistory()).split('\n');
    const at = lines.findLastIndex((line) => line.includes(JSON.stringify({ step }).slice(1, -1)));
    const made = at < 0 ? [] : changesIn(lines[at]!);
    const later = new Set(lines.slice(at + 1).flatMap((line) => changesIn(line).map(({ path }) => path)));
    const isNow = ({ path, to, source }: RecordedChange): boolean => {
      const entry = this.saved.entries.get(path) ?? blank;
      return entry.label === to && (entry.source === 'skipped') === (source === 'skipped');
    };
    return made.length > 0 && made.every((one) => later.has(one.path) || isNow(one));
  }

  #readHistory(): Promise<string> {
    return readFile(this.history, 'utf8').catch(() => '');
  }

  /** Adds a record to the history and writes what `classes` and the entries are by then. */
  commit(record: object, classes: () => readonly string[]): Promise<void> {
    this.#pending.push(`${JSON.stringify({ time: new Date().toISOString(), ...record })}\n`);
    this.#next ??= this.#writing
      .catch(() => undefined)
      .then(async () => {
        const lines = this.#pending;
        this.#pending = [];
        this.#next = undefined;
        this.#writing = append(this.history, this.#lineEnd + lines.join('')).then(() => this.#save(classes()));
        this.#lineEnd = '';
        await this.#writing;
      });
    return this.#next;
  }

  /** Settles when nothing is being written. */
  async idle(): Promise<void> {
    await (this.#next ?? this.#writing).catch(() => undefined);
  }

  async #save(classes: readonly string[]): Promise<void> {
    const { entries, columns, others } = this.saved;
    const found = await hashOf(this.manifest);
    if (found !== undefined && found !== this.#written) await setAside(this.folder, this.manifest, found);
    // Entries only ever come; those that are new are merged into the order of the others.
    const more = [...entries.keys()].slice(this.#order.length);
    if (more.length > 0) this.#order = [...this.#order, ...more].sort(naturalOrder);
    const rows = this.#order.map((path) => {
      const { label, source, random } = entries.get(path)!;
      const rest = columns.map((column) => others.get(path)?.get(column) ?? '');
      return [path, label ?? '', source, random > 0 ? String(random) : '', ...rest];
    });
    const text = spreadsheet([['path', 'label', 'source', 'random', ...columns], ...rows]);
    await writeFileAtomically(this.manifest, text);
    this.#written = digest(Buffer.from(text));
    await writeFileAtomically(this.classes, JSON.stringify(classes));
  }
}

/** A change as the history has it. */
interface RecordedChange {
  readonly path: string;
  readonly was: Mark;
  readonly to: string | null;
  readonly source: LabelSource | 'skipped';
}

/** Those of a line; none in one of another kind, or that was not finished. */
function changesIn(line: string): readonly RecordedChange[] {
  try {
    return (JSON.parse(line) as { readonly changes?: readonly RecordedChange[] }).changes ?? [];
  } catch {
    return [];
  }
}

interface Begun {
  readonly classes: readonly string[];
  readonly version: number;
  readonly changed: (version: number) => void;
}

class Store implements LabelStore {
  readonly #files: LabelFiles;
  readonly #entries: Map<string, Entry>;
  readonly #changed: (version: number) => void;
  readonly #ids = new Map<string, number>();
  #classes: readonly string[];
  #paths: readonly string[] = [];
  #absent: ReadonlySet<number> = new Set();
  #version: number;
  /** Answers to deliveries that were made, the newest last. */
  readonly #answers = new Map<string, Promise<LabelAnswer>>();

  constructor(files: LabelFiles, { classes, version, changed }: Begun) {
    this.#files = files;
    this.#entries = files.saved.entries;
    this.#classes = classes;
    this.#version = version;
    this.#changed = changed;
  }

  attach(found: readonly string[], layout: ReadonlyMap<string, string>, absent: ReadonlySet<number>): void {
    this.#paths = found;
    this.#absent = new Set(absent);
    this.#ids.clear();
    found.forEach((path, id) => this.#ids.set(path, id));
    for (const [path, label] of layout)
      if (!this.#entries.has(path)) this.#entries.set(path, { label, source: 'folder', random: 0 });
    this.#classes = withClasses(this.#classes, this.#entries);
    this.#changed(++this.#version);
  }

  labels(): Labels {
    return {
      version: this.#version,
      classes: this.#classes,
      labels: [...this.#entries].flatMap(([path, { label, source, random }]) => {
        const id = this.#ids.get(path);
        return id === undefined || this.#absent.has(id) || label === null || source === 'skipped' || source === ''
          ? []
          : [{ id, label, source, random: random > 0 }];
      }),
      skipped: this.#paths.flatMap((_, id) => (this.isSkipped(id) && !this.#absent.has(id) ? [id] : [])),
    };
  }

  labelOf(id: number): string | null {
    return this.#entryOf(id).label;
  }

  markOf(id: number): Mark {
    return this.isSkipped(id) ? { skip: true } : this.labelOf(id);
  }

  sourceOf(id: number): LabelSource | null {
    const { label, source } = this.#entryOf(id);
    return label === null || source === '' || source === 'skipped' ? null : source;
  }

  isSkipped(id: number): boolean {
    return this.#entryOf(id).source === 'skipped';
  }

  isRandom(id: number): boolean {
    return this.#entryOf(id).random > 0;
  }

  answered(): number {
    return [...this.#entries.values()].filter(({ source }) => source === 'person' || source === 'skipped').length;
  }

  change(changes: readonly LabelChange[], delivery?: Delivery): Promise<LabelAnswer> {
    if (delivery === undefined) return this.#change(changes);
    const { step, isAgain } = delivery;
    const known = this.#answers.get(step);
    if (known !== undefined) return known;
    const answer = this.#changeOnce(changes, step, isAgain);
    this.#answers.set(step, answer);
    // What was refused can be sent again.
    const forget = (): void => void this.#answers.delete(step);
    answer.then(({ conflicts }) => conflicts !== undefined && forget(), forget);
    for (const old of this.#answers.keys()) if (this.#answers.size > mostAnswers) this.#answers.delete(old);
    return answer;
  }

  async changeClasses(change: ClassChange): Promise<Labels> {
    const entries = this.#entries;
    if ('add' in change) {
      const name = className(change.add);
      if (!this.#classes.includes(name)) this.#classes = [...this.#classes, name];
    } else if ('rename' in change) {
      const to = className(change.to);
      if (!this.#classes.includes(change.rename)) throw new PupilError('not-found', 'there is no such class');
      this.#classes = [...new Set(this.#classes.map((name) => (name === change.rename ? to : name)))];
      for (const [path, entry] of entries)
        if (entry.label === change.rename) entries.set(path, { ...entry, label: to });
    } else {
      if ([...entries.values()].some(({ label }) => label === change.remove))
        throw new PupilError('usage', 'only a class without labels can be removed');
      this.#classes = this.#classes.filter((name) => name !== change.remove);
    }
    await this.#commit({ class: change });
    return this.labels();
  }

  async propose(wanted: readonly number[]): Promise<void> {
    const fresh = wanted.filter((id) => !this.isRandom(id));
    if (fresh.length === 0) return;
    let random = [...this.#entries.values()].reduce((most, entry) => Math.max(most, entry.random), 0);
    for (const id of fresh) this.#entries.set(this.#paths[id]!, { ...this.#entryOf(id), random: ++random });
    await this.#files.commit({ random: fresh.map((id) => this.#paths[id]) }, () => this.#classes);
  }

  idle(): Promise<void> {
    return this.#files.idle();
  }

  async #changeOnce(changes: readonly LabelChange[], step: string, isAgain: boolean): Promise<LabelAnswer> {
    if (isAgain && (await this.#files.hasMade(step))) return { version: this.#version };
    return this.#change(changes, step);
  }

  async #change(changes: readonly LabelChange[], step?: string): Promise<LabelAnswer> {
    const conflicts = changes
      .filter(({ id, was }) => !isSame(this.markOf(id), was))
      .map(({ id }) => ({ id, now: this.markOf(id) }));
    if (conflicts.length > 0) return { version: this.#version, conflicts };
    const record = changes.map(({ id, was, to, source }): RecordedChange => {
      const path = this.#paths[id];
      if (path === undefined) throw new PupilError('not-found', `there is no image ${id}`);
      const label = typeof to === 'string' ? className(to) : null;
      return {
        path,
        was,
        to: label,
        source: typeof to === 'object' && to !== null ? ('skipped' as const) : source,
      };
    });
    const before = record.map(({ path }) => this.#entries.get(path) ?? blank);
    const after = record.map(({ to, source }, i): Entry => ({ ...before[i]!, label: to, source }));
    record.forEach(({ path }, i) => this.#entries.set(path, after[i]!));
    this.#classes = withClasses(this.#classes, this.#entries);
    try {
      return { version: await this.#commit({ step, changes: record }) };
    } catch (error) {
      // It is not on the disk, and will be sent again.
      for (const [i, { path }] of record.entries())
        if (this.#entries.get(path) === after[i]) this.#entries.set(path, before[i]!);
      throw error;
    }
  }

  #entryOf(id: number): Entry {
    return this.#entries.get(this.#paths[id]!) ?? blank;
  }

  async #commit(record: object): Promise<number> {
    const now = ++this.#version;
    await this.#files.commit(record, () => this.#classes);
    this.#changed(now);
    return now;
  }
}

/** Deliveries whose answers are remembered; of older ones the history tells. */
const mostAnswers = 1000;

const isSame = (a: Mark, b: Mark): boolean =>
  a === b || (typeof a === 'object' && typeof b === 'object' && a !== null && b !== null);

const nothing: Labels = { version: 0, classes: [], labels: [], skipped: [] };
/** Where no folder is open. */
const noLabels: LabelStore = {
  attach: () => undefined,
  labels: () => nothing,
  labelOf: () => null,
  markOf: () => null,
  sourceOf: () => null,
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
      random: drawnAt(cell(random)),
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
