import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { Run } from '../artifact/run.js';
import type { AugmentPolicy } from '../augment/policy.js';
import { PupilError } from '../errors.js';
import type { Given, Option, Options } from '../options/option.js';
import { policy } from '../options/kinds.js';
import { readPolicy } from './augmentation.js';

/**
 * A resumed run keeps its own options: one that says otherwise is refused rather than ignored.
 * Options of the machine, and what a row calls renewable, may be told anew, and where images are, which are
 * known by their content, and files that are no longer where they were. Throws `usage`.
 */
export async function refuseChanges<Table extends Options>(
  table: Table,
  run: Run,
  data: unknown,
  options: Given<Table>,
): Promise<void> {
  const settings = (run.config['settings'] ?? {}) as Readonly<Record<string, unknown>>;
  const differs = (what: string, option: string | undefined, told: unknown, saved: unknown): void => {
    if (JSON.stringify(told) === JSON.stringify(saved)) return;
    throw new PupilError(
      'usage',
      `${run.path} continues with its own options: ${what} was ${JSON.stringify(saved) ?? 'not given'}, not ` +
        `${JSON.stringify(told)}; leave it out, or start a new run`,
      { option },
    );
  };
  for (const [name, value] of Object.entries(options) as [string, unknown][]) {
    const row: Option | undefined = Object.hasOwn(table, name) ? table[name] : undefined;
    if (value === undefined || row === undefined || row.machine || row.renewable || row.unsaved) continue;
    if (row.kind === policy) {
      const [told, was] = [await steps(name, value), await steps(name, settings[name])];
      if (JSON.stringify(told?.does) !== JSON.stringify(was?.does)) differs(`\`${name}\``, name, told?.name, was?.name);
    } else if (row.kind.isPath) {
      const isKnownByContent = name === 'unlabelled';
      if (!isKnownByContent && !isSamePlace(value, settings[name])) differs(`\`${name}\``, name, value, settings[name]);
    } else differs(`\`${name}\``, name, value, settings[name]);
  }
  const { out } = options as { readonly out?: string | undefined };
  if (out !== undefined) differs('`out`', 'out', resolve(out), resolve(run.path));
  if (typeof data === 'string' && settings['data'] === undefined) differs('the data', undefined, data, undefined);
}

/** Whether paths (or lists of them) lead to the same, or to files of that name where the saved ones are gone. */
function isSamePlace(told: unknown, saved: unknown): boolean {
  if (Array.isArray(told) && Array.isArray(saved))
    return told.length === saved.length && told.every((item, i) => isSamePlace(item, saved[i]));
  if (typeof told !== 'string' || typeof saved !== 'string') return false;
  if (told === saved || resolve(told) === resolve(saved)) return true;
  return basename(told) === basename(saved) && !existsSync(saved);
}

/** A policy has several spellings: what counts is what it does. */
async function steps(
  option: string,
  value: unknown,
): Promise<{ readonly name: string; readonly does: unknown } | undefined> {
  if (value === undefined) return undefined;
  const { name, base, steps } = await readPolicy(value as string | AugmentPolicy, option);
  return { name, does: [base, steps] };
}
