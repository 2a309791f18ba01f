/**
 * A folder through which machines train one network together, each when it comes to it. Nothing in it is ever locked:
 * every file is written whole, by one machine, under a name that says what it is.
 *
 *     TRAINING.json                       what all machines have to be told alike, named by its hash
 *     PART/stretches/000012               a stretch of steps that a machine has taken on; holds its name
 *     PART/MACHINE-000012-600.safetensors its weights after that stretch and 600 steps of its own
 */
import { createHash, randomBytes } from 'node:crypto';
import { open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PupilError } from '../errors.js';
import { readSafetensors, writeSafetensors } from '../safetensors.js';
import type { Tensor } from '../tensor.js';
import { makeFolder, replaceFile, writeError } from './files.js';
import { json } from './run-files.js';

/** What machines that train together have to have alike. */
export interface Agreement {
  readonly version: string;
  readonly command: string;
  /** Hashes of the images' contents, of their names and order, and of the network to begin with. */
  readonly images: string;
  readonly names: string;
  readonly network: string;
  /** Of teachers and pseudo-labels. */
  readonly teaching: string;
  /** By name, those that say what is computed. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** A new name for a machine. */
export const nameMachine = (): string => randomBytes(6).toString('hex');

const agreementPattern = /^([0-9a-f]{32})\.json$/;

/**
 * Agrees with the machines that were here before on what is trained; returns the hash of that. The folder is made
 * where it is missing. Throws `usage` or `bad-data` where theirs is another training.
 */
export async function agree(folder: string, agreement: Agreement): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(agreement)).digest('hex').slice(0, 32);
  const own = json<Agreement>(`${hash}.json`, { schema: 'agreement', indent: 1 });
  await makeFolder(folder);
  const refuseOthers = async (isBefore: (other: string) => boolean): Promise<void> => {
    for (const name of await namesIn(folder)) {
      const other = agreementPattern.exec(name)?.[1];
      if (other === undefined || other === hash || !isBefore(other)) continue;
      const theirs = await json<Agreement>(name, { schema: 'agreement' }).read(folder);
      if (theirs) throw otherTraining(folder, agreement, theirs);
    }
  };
  if (await own.exists(folder)) return hash;
  await refuseOthers(() => true);
  await own.write(folder, agreement);
  try {
    // Of two that came in the same moment the one with the lower hash stays.
    await refuseOthers((other) => other < hash);
  } catch (error) {
    await rm(own.in(folder), { force: true });
    throw error;
  }
  return hash;
}

function otherTraining(folder: string, own: Agreement, theirs: Agreement): PupilError {
  const advice = 'start all machines alike, or name another folder with `share`';
  const about = { option: 'share' };
  for (const what of ['version', 'command'] as const)
    if (own[what] !== theirs[what])
      return new PupilError(
        'usage',
        `the ${what} is ${own[what]} here, that of the training in ${folder} is ${theirs[what]}; ${advice}`,
        about,
      );
  for (const [what, words] of [
    ['images', 'learns from other images'],
    ['names', 'has other names of the images, or another order'],
    ['network', 'began with another network'],
    ['teaching', 'is taught by other models or pseudo-labels'],
  ] as const)
    if (own[what] !== theirs[what])
      return new PupilError('bad-data', `the training in ${folder} ${words}; ${advice}`, about);
  const name = [...new Set([...Object.keys(own.options), ...Object.keys(theirs.options)])].find(
    (option) => JSON.stringify(own.options[option]) !== JSON.stringify(theirs.options[option]),
  );
  const said = (value: unknown): string => JSON.stringify(value) ?? 'not given';
  const differs =
    name === undefined
      ? `${folder} holds another training`
      : `\`${name}\` is ${said(own.options[name])} here, ${said(theirs.options[name])} for the training in ${folder}`;
  return new PupilError('usage', `${differs}; ${advice}`, about);
}

/** The latest that a machine has put into the folder. */
export interface Entry {
  readonly machine: string;
  /** The stretch that it had done. */
  readonly stretch: number;
  /** Steps that it had made by itself, over all its stretches. */
  readonly steps: number;
  readonly path: string;
}

const entryPattern = /^([0-9a-f]{12})-(\d{6,})-(\d+)\.safetensors$/;

/** One part of a training, such as a phase. */
export class SharedPart {
  readonly machine: string;
  readonly #folder: string;
  readonly #stretches: string;
  readonly #training: string;

  /** `training`: the hash that `agree` gave. */
  constructor(folder: string, machine: string, training: string) {
    this.machine = machine;
    this.#folder = folder;
    this.#stretches = join(folder, 'stretches');
    this.#training = training;
  }

  /** The last stretch that a machine took on; -1: none yet. */
  async lastTaken(): Promise<number> {
    const numbers = (await namesIn(this.#stretches)).filter((name) => /^\d{6,}$/.test(name)).map(Number);
    return numbers.reduce((most, number) => Math.max(most, number), -1);
  }

  /** The machine that took on a stretch. */
  takenBy(stretch: number): Promise<string | undefined> {
    return readFile(this.#pathOf(stretch), 'utf8').catch(() => undefined);
  }

  /** Takes on a stretch; false: another machine was first. */
  async take(stretch: number): Promise<boolean> {
    await makeFolder(this.#stretches);
    const path = this.#pathOf(stretch);
    try {
      const handle = await open(path, 'wx');
      await handle.writeFile(this.machine).finally(() => handle.close());
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw writeError(path, error);
    }
  }

  #pathOf(stretch: number): string {
    return join(this.#stretches, padded(stretch));
  }

  /** What each machine put here last, the own one among them. */
  async entries(): Promise<Entry[]> {
    const latest = new Map<string, Entry>();
    for (const name of await namesIn(this.#folder)) {
      const [, machine, stretch, steps] = entryPattern.exec(name) ?? [];
      if (machine === undefined) continue;
      const entry = { machine, stretch: Number(stretch), steps: Number(steps), path: join(this.#folder, name) };
      if ((latest.get(machine)?.steps ?? -1) < entry.steps) latest.set(machine, entry);
    }
    return [...latest.values()].sort((a, b) => (a.machine < b.machine ? -1 : 1));
  }

  /** Puts the own weights here in the place of earlier ones. */
  async put(tensors: ReadonlyMap<string, Tensor>, { stretch, steps }: Pick<Entry, 'stretch' | 'steps'>): Promise<void> {
    const name = `${this.machine}-${padded(stretch)}-${steps}.safetensors`;
    await replaceFile(join(this.#folder, name), (handle) =>
      writeSafetensors(handle, tensors, { training: this.#training }),
    );
    for (const other of await namesIn(this.#folder))
      if (entryPattern.exec(other)?.[1] === this.machine && other !== name)
        await rm(join(this.#folder, other), { force: true }).catch(() => undefined);
  }

  /**
   * The tensors of an entry, which have the names and sizes of `like`; undefined where it is gone or damaged. Throws
   * `bad-data` where they are of another training.
   */
  async read({ path }: Entry, like: ReadonlyMap<string, Tensor>): Promise<ReadonlyMap<string, Tensor> | undefined> {
    const { tensors, metadata } = (await readSafetensors(path).catch(() => undefined)) ?? {};
    if (!tensors) return undefined;
    const isAlike = [...like].every(([name, { dtype, dims }]) => {
      const found = tensors.get(name);
      return found?.dtype === dtype && found.dims.join() === dims.join();
    });
    if (metadata?.['training'] === this.#training && isAlike) return tensors;
    throw new PupilError(
      'bad-data',
      `${path} is of another training; delete it, or name another folder with \`share\``,
      {
        option: 'share',
      },
    );
  }
}

const padded = (number: number): string => String(number).padStart(6, '0');

/** Names in a folder; none where there is no such folder. Throws `io` or `bad-path`. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw writeError(folder, error);
  }
}
