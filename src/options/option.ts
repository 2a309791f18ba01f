/**
 * Options as data. A row of a table says everything about one option: which values it takes, help,
 * default, when it has a use, whether it may change on resume. Types of settings, checks, flags,
 * help, reproduce commands and forms are derived from such rows.
 */
import { assertObject, shown, unknownOption } from '../arguments.js';
import { hyphenated } from '../augment/names.js';
import { errorAbout, PupilError } from '../errors.js';
import { nearest } from '../nearest.js';
import type { Kind } from './kinds.js';

export const modes = ['finetune', 'scratch', 'probe', 'consensus'] as const;

/** Modes that solve the last layer on features of a frozen network. */
export const frozenModes = ['probe', 'consensus'] as const;
export type FrozenMode = (typeof frozenModes)[number];
export const isFrozen = (mode: Mode | undefined): mode is FrozenMode => frozenModes.some((frozen) => frozen === mode);

/** Modes that start from trained weights. */
export const pretrainedModes = ['finetune', ...frozenModes] as const;
export type Mode = (typeof modes)[number];

/** A default: one for all, or one for each mode of training. */
type Usual<T> = T | Readonly<Record<Mode, T>>;

/** What a row says besides its kind. */
export interface About<T> {
  /** Help, in a line; without its default, which is added. */
  readonly says: string;
  /** The same in the studio's form, where `says` is about files or commands that only a terminal has. */
  readonly inForm?: string;
  /** The heading under which help and forms show it; `group` gives it to many. */
  readonly group?: string;
  /** Help of the flag that says no, `--no-name`, where yes is usual. */
  readonly no?: string;
  /** Its default where no technique has another (`recipes.ts`). */
  readonly usual?: Usual<T>;
  /** The default in words, where it is worked out. */
  readonly otherwise?: string;
  /** Help shows a command's ten lowest ranks first; one without a rank is for experts. */
  readonly rank?: number;
  /** Where it has a use; elsewhere it is refused, unless its value is `off`. */
  readonly only?: Only;
  /** The value that says: without it. */
  readonly off?: T;
  /** It says where and how fast a run is computed, not what: a resumed run may be told anew. */
  readonly machine?: true;
  /** A resumed run may be told anew although it is no matter of the machine. */
  readonly renewable?: true;
  /** `run.json` does not keep it. */
  readonly unsaved?: true;
  /** The flag's name where it is not the option's; false: the command line does not have it. */
  readonly flag?: string | false;
  /** What a flag that may stand without a value stands for then. */
  readonly bare?: T;
  /** How help calls the value, where the kind's word is not enough. */
  readonly argument?: string;
  /** How a form calls it, where its name in words is not enough. */
  readonly label?: string;
  /**
   * What it is about, of which there may be none: several processes that train together, archives, a val/ or test/,
   * files of others. Where a form can see that there is none (the studio), it does not offer it.
   */
  readonly about?: 'ranks' | 'archives' | 'splits' | 'foreign files';
  /** Why a command does not take an option that others have. */
  readonly never?: string;
}

/** When an option has a use: all of these have to hold. */
export interface Only {
  readonly mode?: readonly Mode[];
  readonly optimizer?: readonly string[];
  /** One of these options is given, and not off. */
  readonly with?: readonly string[];
}

export type Option<T = unknown, A extends About<T> = About<T>> = { readonly kind: Kind<T> } & A;
/** A table: options by the names that the library has for them, each under a heading. */
export type Options = Readonly<Record<string, Option & { readonly group: string }>>;

type Exactly<A, Shape> = A & Readonly<Record<Exclude<keyof A, keyof Shape>, never>>;

/** One row of a table. */
export const option = <T, const A extends About<T>>(kind: Kind<T>, about: Exactly<A, About<T>>): Option<T, A> => ({
  kind,
  ...about,
});

type Grouped<Row> = Row & { readonly group: string };

type Rows<Table> = { readonly [Name in keyof Table]: Grouped<Table[Name]> };

/** Rows under one heading. */
export const group = <Table extends object>(heading: string, rows: Table): Rows<Table> =>
  Object.fromEntries(
    Object.entries(rows as Readonly<Record<string, Option>>).map(([name, row]) => [name, { ...row, group: heading }]),
  ) as unknown as Rows<Table>;

/** Where options of gradient descent have a use: a probe's last layer is solved instead. */
export const descentModes = ['scratch', 'finetune'] as const;
export const descent: Only = { mode: descentModes };

/** Rows under one heading that have a use in gradient descent alone, unless they name modes themselves. */
export const descentGroup = <Table extends object>(heading: string, rows: Table): Rows<Table> =>
  Object.fromEntries(
    Object.entries(group(heading, rows) as unknown as Options).map(([name, row]) => [
      name,
      { ...row, only: { ...descent, ...row.only } },
    ]),
  ) as unknown as Rows<Table>;

/** The row of an option that this command does not take, with the reason. */
export const refused = (row: Options[string], never: string): Option<undefined> & { readonly group: string } => ({
  ...row,
  kind: { ...row.kind, check: () => undefined, read: () => undefined },
  usual: undefined,
  off: undefined,
  bare: undefined,
  never,
});

type ValueOf<Row> = Row extends { readonly kind: Kind<infer T> } ? T : never;
type NamesWith<Table, Property> = { [Name in keyof Table]: Table[Name] extends Property ? Name : never }[keyof Table];
type Usually<Table> = NamesWith<Table, { readonly usual: {} | null }>;

/** What is told, lists as lists. */
export type Given<Table> = { readonly [Name in keyof Table]?: ValueOf<Table[Name]> | undefined };

/** What a library user may say: one value may stand for a list of it. */
export type Asked<Options> = {
  readonly [Name in keyof Options]: Options[Name] extends infer Value
    ? Value extends readonly (infer Item)[]
      ? Value | Item
      : Value
    : never;
};

/** All that is settled, as `run.json` keeps it: what has a default is there. */
export type Resolved<Table, Kept = Omit<Table, NamesWith<Table, { readonly unsaved: true }>>> = {
  readonly [Name in Usually<Kept>]: ValueOf<Kept[Name]>;
} & { readonly [Name in Exclude<keyof Kept, Usually<Kept>>]?: ValueOf<Kept[Name]> | undefined };

/** The table without some rows, or options without some of their values. */
export function omit<T extends object, const Name extends keyof T>(from: T, names: readonly Name[]): Omit<T, Name> {
  const left = new Set<PropertyKey>(names);
  return Object.fromEntries(Object.entries(from).filter(([name]) => !left.has(name))) as Omit<T, Name>;
}

/** Some rows of the table, or some values of options: those that are there. */
export function pick<T extends object, const Name extends keyof T>(from: T, names: readonly Name[]): Pick<T, Name> {
  const kept = new Set<PropertyKey>(names);
  return Object.fromEntries(Object.entries(from).filter(([name]) => kept.has(name))) as Pick<T, Name>;
}

/** Those of the options that the table has, without what is undefined: `shared` for another job. */
export const knownTo = <Table extends Options>(table: Table, options: object): Given<Table> =>
  Object.fromEntries(
    Object.entries(options).filter(([name, value]) => value !== undefined && Object.hasOwn(table, name)),
  ) as Given<Table>;

/** What `run.json` keeps of the options. */
export const savedOptions = <Table extends Options, Some extends Given<Table>>(
  table: Table,
  options: Some,
): Omit<Some, NamesWith<Table, { readonly unsaved: true }>> =>
  Object.fromEntries(
    Object.entries(options).filter(([name, value]) => value !== undefined && table[name]?.unsaved !== true),
  ) as Omit<Some, NamesWith<Table, { readonly unsaved: true }>>;

/** What a resumed run may be told anew: where and how fast it is computed. */
export const machineOptions = <Table extends Options>(
  table: Table,
  options: Given<Table>,
): Pick<Given<Table>, NamesWith<Table, { readonly machine: true }>> =>
  Object.fromEntries(
    Object.entries(options).filter(([name, value]) => value !== undefined && table[name]?.machine),
  ) as Pick<Given<Table>, NamesWith<Table, { readonly machine: true }>>;

/**
 * The options, each of a kind that its row takes, without what is undefined. Throws `usage` for
 * what is no object, an unknown name or an impossible value.
 */
export function checkOptions<Table extends Options>(table: Table, options: Asked<Given<Table>>): Given<Table> {
  assertObject(options);
  const checked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options) as [string, unknown][]) {
    if (value === undefined) continue;
    const row = Object.hasOwn(table, name) ? table[name] : undefined;
    if (row === undefined) throw unknownOption(name, Object.keys(table), byFlag(table));
    checked[name] = valueFor(name, row, value, row.kind.check);
  }
  refuseUnaided(table, checked);
  return checked as Given<Table>;
}

/** Whether an option is told and does not say "without". */
export function isOn({ off }: Option, value: unknown): boolean {
  const said = typeof value === 'object' && value !== null && 'name' in value ? value.name : value;
  return said !== undefined && said !== off && !(Array.isArray(said) && said.length === 0);
}

/** Why an option has no use, to stand after its name: none of those that it is about is given; undefined: one is. */
export function unaided(table: Options, name: string, given: object): string | undefined {
  const others = table[name]?.only?.with;
  const told = given as Readonly<Record<string, unknown>>;
  if (others?.some((other) => table[other] === undefined || isOn(table[other], told[other])) !== false)
    return undefined;
  const off = others.find((other) => typeof told[other] === 'string');
  if (off !== undefined) return `it has no use with \`${off}: ${String(told[off])}\`; leave it out`;
  return `it has no use without ${others.map((other) => `\`${other}\``).join(' or ')}; leave it out`;
}

/** Throws `usage` for an option that is about another one which is not given. A run that goes on has its own. */
export function refuseUnaided(table: Options, given: object): void {
  if ('resume' in given && given.resume !== undefined) return;
  for (const [name, value] of Object.entries(given)) {
    const row = Object.hasOwn(table, name) ? table[name] : undefined;
    const reason = row && isOn(row, value) ? unaided(table, name, given) : undefined;
    if (reason !== undefined) throw new PupilError('usage', `\`${name}\`: ${reason}`, { option: name });
  }
}

/** Options by the words of flags that are called otherwise: `student` is the `model` of `distill`. */
const byFlag = (table: Options): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(table).flatMap(([name, { flag }]) => (flag ? [[flag, name]] : [])));

/** The options of a job with the signal that ends it. Throws `usage` for what is no object. */
export function withSignal<Told extends { readonly signal?: AbortSignal | undefined }>(
  options: Told,
  signal: AbortSignal,
): Told {
  assertObject(options);
  // What is no signal stays, to be refused with the other options.
  return options.signal === undefined || options.signal instanceof AbortSignal ? { ...options, signal } : options;
}

/** What a text on the command line stands for. Throws `usage` where it is nothing of that kind. */
export const readText = (name: string, row: Option, text: string): unknown => valueFor(name, row, text, row.kind.read);

function valueFor<Value>(name: string, row: Option, given: Value, read: (given: Value) => unknown): unknown {
  if (row.never !== undefined) throw new PupilError('usage', `\`${name}\`: ${row.never}`, { option: name });
  let value: unknown;
  try {
    value = read(given);
  } catch (error) {
    throw errorAbout(name, error, `\`${name}\` `);
  }
  if (value !== undefined) return value;
  const { takes, words = [], type } = row.kind;
  const near = typeof given === 'string' ? nearest(given, words) : undefined;
  // Beside "auto or a number", a wrong number is no misspelling of auto.
  const hint = near === undefined || type === 'number' ? '' : `; did you mean ${near}?`;
  const beyond = row.kind.range?.whole && row.kind.range.to === undefined && Number(given) > Number.MAX_SAFE_INTEGER;
  const limit = beyond ? ` and at most ${Number.MAX_SAFE_INTEGER}` : '';
  throw new PupilError('usage', `\`${name}\` takes ${takes}${limit}, got ${shown(given)}${hint}`, { option: name });
}

const byMode = <T>(usual: Usual<T>): usual is Readonly<Record<Mode, T>> =>
  typeof usual === 'object' && usual !== null && 'scratch' in usual;

/** The default of an option in a mode, leaving techniques aside. */
export const usualOf = (row: Option, mode: Mode): unknown =>
  row.usual !== undefined && byMode(row.usual) ? row.usual[mode] : row.usual;

/** The default in words: `32`, or `10, scratch 30`; undefined where there is none. */
export function describeDefault(row: Option): string | undefined {
  if (row.otherwise !== undefined) return row.otherwise;
  const { usual } = row;
  if (usual === undefined || row.kind.type === 'flag' || (Array.isArray(usual) && usual.length === 0)) return undefined;
  if (!byMode(usual)) return String(usual);
  const [first, ...others] = modes.filter((mode) => row.only?.mode?.includes(mode) !== false);
  return describeByMode(first!, others, usual);
}

/** What holds in the first mode, and in others where it differs. */
export const describeByMode = (
  first: Mode,
  others: readonly Mode[],
  values: Readonly<Partial<Record<Mode, unknown>>>,
): string =>
  [
    String(values[first]),
    ...others.filter((mode) => values[mode] !== values[first]).map((mode) => `${mode} ${String(values[mode])}`),
  ].join(', ');

/** The table with other defaults, for a job that has its own. */
export const withDefaults = <Table extends Options, const Values extends Partial<Given<Table>>>(
  table: Table,
  values: Values,
): Table =>
  Object.fromEntries(
    Object.entries(table).map(([name, row]) => {
      const usual = (values as Readonly<Record<string, unknown>>)[name];
      return [name, usual === undefined ? row : { ...row, usual, otherwise: undefined }];
    }),
  ) as unknown as Table;

/** How a form calls an option: `Labels per class`. */
export const labelOf = (name: string, row: Option): string => {
  const words = row.label ?? hyphenated(name).replaceAll('-', ' ');
  return words[0]!.toUpperCase() + words.slice(1);
};

/** The name of an option's flag without dashes; undefined where the command line has none. */
export const flagName = (name: string, row: Option): string | undefined =>
  row.flag === false ? undefined : (row.flag ?? hyphenated(name));
