/** A command as one value: what it is called, what it takes, examples, and what it does. */
import { PupilError } from '../errors.js';
import { flag } from '../options/kinds.js';
import { option, type Given, type Options } from '../options/option.js';
import type { Terminal } from './terminal.js';

/** What every command understands, and the library does not need. */
const everywhere = {
  json: option(flag, { says: 'print one JSON object on stdout, nothing else', group: 'Output', rank: 20 }),
} as const;

/** Arguments by how they stand in the usage line, `<data>`, `[data]` or `<images...>`, with help. */
type Arguments = Readonly<Record<string, string>>;
type NameOf<Key> = Key extends `<${infer Name}...>`
  ? Name
  : Key extends `<${infer Name}>` | `[${infer Name}]`
    ? Name
    : never;
type ValueOf<Key> = Key extends `<${string}...>`
  ? readonly string[]
  : Key extends `[${string}]`
    ? string | undefined
    : string;
type Values<Declared> = { readonly [Key in keyof Declared as NameOf<Key>]: ValueOf<Key> };

interface Declaration<Declared extends Arguments, Table extends Options> {
  readonly arguments?: Declared;
  /** Rows of the tables in options/. */
  readonly options: Table;
  /** Whole command lines, each with a remark after two or more spaces if it needs one. */
  readonly examples: readonly string[];
  /** Does it: code that takes long to load is imported in here, so that help is quick. */
  readonly run: (
    values: Values<Declared>,
    options: Given<Table> & { readonly json?: boolean | undefined },
    terminal: Terminal,
  ) => Promise<void>;
  /** What it does instead, without arguments, where `--merge FOLDER` is given. */
  readonly merge?: (
    folder: string,
    options: Given<Table> & { readonly json?: boolean | undefined },
    terminal: Terminal,
  ) => Promise<void>;
}

export interface Command {
  readonly name: string;
  /** One sentence, without what the options say. */
  readonly says: string;
  readonly arguments: Arguments;
  readonly options: Options;
  readonly examples: readonly string[];
  readonly run: (
    values: Readonly<Record<string, unknown>>,
    options: Readonly<Record<string, unknown>>,
    terminal: Terminal,
  ) => Promise<void>;
  /** Instead, without arguments: makes one result of the parts in a folder. */
  readonly merge?:
    ((folder: string, options: Readonly<Record<string, unknown>>, terminal: Terminal) => Promise<void>) | undefined;
}

/** Commands under one name: `pupil models list`. */
export interface CommandGroup {
  readonly name: string;
  readonly says: string;
  readonly examples: readonly string[];
  readonly commands: readonly Command[];
}

/** Declares a command; the types of its arguments and options are those of the declaration. */
export const command = <const Declared extends Arguments, Table extends Options>(
  name: string,
  says: string,
  { arguments: declared, options, examples, run, merge }: Declaration<Declared, Table>,
): Command => ({
  name,
  says,
  arguments: declared ?? {},
  options: { ...options, ...everywhere },
  examples,
  // What comes from the command line was read by these very rows.
  run: run as unknown as Command['run'],
  merge: merge as unknown as Command['merge'],
});

/** What the first argument of a training command is. */
export const dataArgument =
  'a folder with one subfolder per class, a .tar of one (also http://HOST/x-{000..127}.tar), .parquet files, or a .csv, .tsv or .jsonl manifest';

/** What a model argument is. */
export const modelArgument = 'a run folder, an ONNX file, timm .safetensors or hf:owner/repo[/file]';

/** Throws `usage` where there is neither data nor a run to go on with. */
export function requireData(command: string, data: string | undefined, resume: string | undefined): void {
  if (data !== undefined || resume !== undefined) return;
  throw new PupilError(
    'usage',
    `${command} needs DATA, a folder with one subfolder per class (or \`resume: RUN\`); see pupil ${command} --help`,
  );
}
