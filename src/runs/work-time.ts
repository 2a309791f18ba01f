/** How long a run has been at work in all its sessions. */
import { rm } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { runFiles } from '../artifact/run-files.js';
import { tap } from './relay.js';

export interface WorkTime {
  /** Of all sessions so far. */
  seconds(): number;
  /** Notes them in a run folder, for the session after one that is stopped; a disk that is full is no error. */
  keep(run: string): Promise<void>;
  /** Passes on what happens in a run, and notes them on the way. */
  during<Event extends { readonly type: string }, Result>(
    events: AsyncGenerator<Event, Result, undefined>,
    run: string,
  ): AsyncGenerator<Event, Result, undefined>;
  /** Drops the note of a run that has its result, which says it. */
  drop(run: string): Promise<void>;
}

/** Of a session that begins; `resumed`: the run that it goes on with, whose note counts where it is whole. */
export async function beginWorkTime(resumed: string | undefined): Promise<WorkTime> {
  const started = performance.now();
  const note = resumed === undefined ? undefined : await runFiles.workTime.read(resumed).catch(() => undefined);
  const before = note?.seconds ?? 0;
  const seconds = (): number => before + (performance.now() - started) / 1000;
  const keep: WorkTime['keep'] = (run) => runFiles.workTime.write(run, { seconds: seconds() }).catch(() => undefined);
  return {
    seconds,
    keep,
    during: (events, run) =>
      tap(events, (event) =>
        event.type === 'checkpoint' || event.type === 'phase' ? keep(run).then(() => event) : event,
      ),
    drop: (run) => rm(runFiles.workTime.in(run), { force: true }),
  };
}
