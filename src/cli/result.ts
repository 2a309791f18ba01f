import { join } from 'node:path';
import { writeFileAtomically } from '../artifact/files.js';
import { refuseExistingFile } from '../artifact/free.js';
import { inForm } from '../artifact/json-result.js';
import { PupilError } from '../errors.js';
import { printable } from './table.js';
import { jsonLine, type Terminal } from './terminal.js';

/** What a command found. */
interface Finding {
  readonly result: object;
  /** The same for people. */
  readonly text: () => string;
  /** The name of the file that `out` gets, without `.json`. */
  readonly name: string;
  /** What that file holds, where it is more than the result. */
  readonly saved?: object | undefined;
}

/**
 * Ends a command: its result as one JSON object (`json`) or as text for people on stdout, and also
 * as OUT/NAME.json with `out`. Throws `exists` rather than overwrite that file.
 */
export async function present(
  { result, text, name, saved = result }: Finding,
  { json, out }: { readonly json?: boolean | undefined; readonly out?: string | undefined },
  terminal: Terminal,
): Promise<void> {
  if (out !== undefined) {
    await refuseExisting(out, name);
    await writeFileAtomically(join(out, `${name}.json`), `${JSON.stringify(inForm(saved), null, 2)}\n`);
  }
  conclude(result, text, json, terminal);
}

/** Prints a command's result: one JSON object with `json`, else text for people. */
export function conclude(
  result: object,
  text: string | (() => string),
  json: boolean | undefined,
  terminal: Terminal,
): void {
  terminal.out(json ? jsonLine(result) : typeof text === 'string' ? text : text());
}

/** Throws `exists` when DIR/NAME.json is there already: ask before long work, not after it. */
export async function refuseExisting(out: string | undefined, name: string): Promise<void> {
  if (out !== undefined) await refuseExistingFile('out', join(out, `${name}.json`));
}

/** Prints notes as a training prints its warnings, one line each. */
export const warningsTo =
  (terminal: Terminal) =>
  (message: string): void =>
    terminal.err(`warning: ${printable(message)}\n`);

/** Lists files that could not be used, on stderr, the first few by name. */
export function warnUnreadable(
  unreadable: readonly { readonly path: string; readonly reason: string }[],
  terminal: Terminal,
): void {
  if (unreadable.length === 0) return;
  const limit = 10;
  terminal.err(`${unreadable.length} ${unreadable.length === 1 ? 'file was' : 'files were'} unreadable and skipped:\n`);
  for (const { path, reason } of unreadable.slice(0, limit))
    terminal.err(`  ${printable(`${path}: ${reason.replace(/\s*\n\s*/g, ' ')}`)}\n`);
  if (unreadable.length > limit) terminal.err(`  and ${unreadable.length - limit} more (pupil doctor lists all)\n`);
}

/** The file to write. Throws `usage` where none is named, `exists` where it is there already. */
export async function freeFile(command: string, out: string | undefined, example: string): Promise<string> {
  if (out === undefined)
    throw new PupilError('usage', `${command} needs \`out: FILE\`, such as \`out: ${example}\``, { option: 'out' });
  await refuseExistingFile('out', out);
  return out;
}
