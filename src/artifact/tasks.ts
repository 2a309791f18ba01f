/**
 * Tasks that the process at work in a run leaves to others, which see the same folder. Whoever does one puts down a
 * claim beside it and touches that while it is at work, so that one of a process that has died is told from others.
 *
 *     tasks/NAME.json         what is to be done
 *     tasks/NAME.claim        who does it
 *     tasks/leader.claim      who offers the tasks
 *     tasks/helper-ID.claim   who is there to do some
 */
import { randomBytes } from 'node:crypto';
import { open, readFile, readdir, rm, rmdir, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { isRunning, thisProcess, type ProcessId } from '../drafts.js';
import { makeFolder, writeError, writeFileAtomically } from './files.js';
import { json, type RunFile } from './run-files.js';
import type { Described } from './schemas.js';

/** Milliseconds. */
interface Pace {
  /** After which a claim is touched again. */
  readonly beat: number;
  /** After which the claim of a process on another computer, which nobody touched, counts as that of a dead one. */
  readonly silence: number;
}

/** Shares may show what others wrote only after a minute. */
const usualPace: Pace = { beat: 10_000, silence: 180_000 };

/** What stands in a claim. */
interface Holder extends ProcessId {
  readonly id: string;
  /** The task failed here: it is left to the leader. */
  readonly failed?: true;
}

/** A task that this process does. */
export interface Claim {
  /** Leaves it to the leader alone. */
  fail(): Promise<void>;
  /** Ends the claim: whoever wants may have the task, where it is still offered. */
  release(): Promise<void>;
}

/** The folder of tasks in a run. */
export const tasksFolder = 'tasks';

const leader = 'leader';
const helperPattern = /^(helper-[0-9a-f]+)\.claim$/;

/** The tasks of a run. */
export class TaskFolder<Task extends object> {
  readonly path: string;
  readonly #pace: Pace;
  readonly #schema: Described;
  /** When claims were last seen to be touched: by their time stamps, and by the clock of this process. */
  readonly #touched = new Map<string, { readonly mark: number; readonly at: number }>();

  constructor(run: string, schema: Described, pace: Pace = usualPace) {
    this.path = join(run, tasksFolder);
    this.#schema = schema;
    this.#pace = pace;
  }

  /** Becomes the one that offers tasks, in place of one before: for who holds the lock of the run. */
  async lead(): Promise<Claim> {
    await makeFolder(this.path);
    await rm(this.#claimOf(leader), { force: true });
    return (await this.claim(leader))!;
  }

  /** Whether somebody is there who offers tasks. */
  async isLed(): Promise<boolean> {
    return (await this.#stateOf(leader)) === 'held';
  }

  /** Says that this process is there to do tasks. */
  async join(): Promise<Claim> {
    return (await this.claim(`helper-${randomBytes(4).toString('hex')}`))!;
  }

  /** How many are there to do tasks. */
  async helpers(): Promise<number> {
    const names = (await this.#names()).flatMap((name) => helperPattern.exec(name)?.[1] ?? []);
    const states = await Promise.all(names.map((name) => this.#stateOf(name)));
    return states.filter((state) => state === 'held').length;
  }

  /** Throws `io`, as all that writes. */
  offer(name: string, task: Task): Promise<void> {
    return this.#file(name).write(this.path, task);
  }

  /** The tasks that are offered, by name. */
  async names(): Promise<string[]> {
    return (await this.#names()).flatMap((name) => /^([^.].*)\.json$/.exec(name)?.[1] ?? []).sort();
  }

  isOffered(name: string): Promise<boolean> {
    return this.#file(name).exists(this.path);
  }

  /** A task; undefined where it is no longer offered. */
  read(name: string): Promise<Task | undefined> {
    return this.#file(name).read(this.path);
  }

  /** Ends a task: it is done, or taken back from who does it. */
  async withdraw(name: string): Promise<void> {
    await rm(this.#file(name).in(this.path), { force: true });
    await rm(this.#claimOf(name), { force: true });
  }

  /** Removes all tasks and what was left half done, when none is offered any more. */
  async clear(): Promise<void> {
    for (const name of await this.#names()) {
      // One that has not yet seen that its task was withdrawn removes what it is at itself.
      if (name !== `${leader}.claim`)
        await rm(join(this.path, name), { recursive: true, force: true }).catch(() => undefined);
    }
  }

  /** Removes the folder where nothing is left in it. */
  async leave(): Promise<void> {
    await rmdir(this.path).catch(() => undefined);
  }

  /**
   * Takes on a task; undefined where another process does it. `takesOver`: also where that has died, or has failed.
   */
  async claim(name: string, { takesOver = false } = {}): Promise<Claim | undefined> {
    if (takesOver && (await this.#stateOf(name)) === 'lost') await rm(this.#claimOf(name), { force: true });
    const path = this.#claimOf(name);
    const holder: Holder = { ...thisProcess, id: randomBytes(8).toString('hex') };
    try {
      const handle = await open(path, 'wx');
      await handle.writeFile(JSON.stringify(holder)).finally(() => handle.close());
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
      throw writeError(path, error);
    }
    const isOwn = async (): Promise<boolean> => (await holderIn(path))?.id === holder.id;
    const timer = setInterval(() => {
      const now = new Date();
      void isOwn()
        .then((own) => (own ? utimes(path, now, now) : undefined))
        .catch(() => undefined);
    }, this.#pace.beat).unref();
    return {
      async fail() {
        clearInterval(timer);
        if (await isOwn()) await writeFileAtomically(path, JSON.stringify({ ...holder, failed: true }));
      },
      async release() {
        clearInterval(timer);
        const found = await holderIn(path);
        if (found?.id === holder.id && found.failed !== true) await rm(path, { force: true });
      },
    };
  }

  /** Whose a claim is: nobody's, that of a process at work, or of one that no longer is. */
  async #stateOf(name: string): Promise<'free' | 'held' | 'lost'> {
    const path = this.#claimOf(name);
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) return 'free';
    const holder = await holderIn(path);
    if (holder?.failed === true) return 'lost';
    const runs = holder && isRunning(holder);
    if (runs !== undefined) return runs ? 'held' : 'lost';
    const now = performance.now(),
      before = this.#touched.get(path);
    if (before?.mark === found.mtimeMs) return now - before.at > this.#pace.silence ? 'lost' : 'held';
    this.#touched.set(path, { mark: found.mtimeMs, at: now });
    return 'held';
  }

  #claimOf(name: string): string {
    return join(this.path, `${name}.claim`);
  }

  #file(name: string): RunFile<Task> {
    return json<Task>(`${name}.json`, { schema: this.#schema });
  }

  #names(): Promise<string[]> {
    return readdir(this.path).catch(() => []);
  }
}

/** Who stands in a claim; undefined where there is none, or it is just being written. */
async function holderIn(path: string): Promise<Holder | undefined> {
  try {
    const { pid, host, start, id, failed } = JSON.parse(await readFile(path, 'utf8')) as Partial<
      Record<keyof Holder, unknown>
    >;
    if (!Number.isSafeInteger(pid) || typeof host !== 'string' || typeof id !== 'string') return undefined;
    return { pid: pid as number, host, start: Number(start ?? 0), id, ...(failed === true ? { failed } : {}) };
  } catch {
    return undefined;
  }
}
