/** How long a training would take: worked out in a process beside, one at a time, for the latest who asks. */
import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PupilError } from '../errors.js';
import { errorOf } from '../threads/protocol.js';
import type { ChildRequest, ForecastAnswer, ForecastRequest } from './child.js';

type Asked = Omit<ChildRequest, 'data'>;

export interface Forecasts {
  /**
   * Seconds; `listIn` writes the list of images and labels into a folder that is thrown away, `key` says what is in
   * it. What was worked out last is known; what is under way is ended where something else is asked, and fails as
   * `interrupted`. Throws what the training would throw.
   */
  of(request: Asked, key: string, listIn: (folder: string) => Promise<string>): Promise<number>;
  /** Ends what is under way. */
  stop(): Promise<void>;
}

export function createForecasts(): Forecasts {
  let stopper = new AbortController(),
    ended: Promise<unknown> = Promise.resolve(),
    last: { readonly key: string; readonly seconds: Promise<number> } | undefined;
  const stop = async (): Promise<void> => {
    last = undefined;
    stopper.abort();
    await ended;
  };
  return {
    stop,
    async of(request, key, listIn) {
      const full = JSON.stringify([request, key]);
      // Two windows ask the same.
      if (last?.key === full) return last.seconds;
      const stopped = stop();
      const seconds = stopped.then(() => {
        if (last?.key !== full) throw superseded();
        stopper = new AbortController();
        const work = forecastIn(request, listIn, stopper.signal);
        ended = work.catch(() => undefined);
        return work;
      });
      const own = (last = { key: full, seconds });
      seconds.catch(() => {
        if (last === own) last = undefined;
      });
      return seconds;
    },
  };
}

const superseded = (): PupilError =>
  new PupilError(
    'interrupted',
    'how long it takes was not worked out: a training was started, or another window asked about one, meanwhile; ' +
      'change an option to ask again',
  );

async function forecastIn(
  request: Asked,
  listIn: (folder: string) => Promise<string>,
  signal: AbortSignal,
): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'pupil-forecast-'));
  try {
    const data = await listIn(folder);
    if (signal.aborted) throw superseded();
    const child = fork(new URL('./forecast-child.js', import.meta.url), {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    signal.addEventListener('abort', () => child.kill('SIGKILL'), { once: true });
    let answer: ForecastAnswer | undefined;
    child.on('message', (message: ForecastAnswer) => (answer = message));
    const over = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
    child.send({ ...request, data, out: join(folder, 'run') } satisfies ForecastRequest);
    await over;
    if (answer === undefined)
      throw signal.aborted ? superseded() : new PupilError('crashed', 'how long it takes could not be worked out');
    if ('failure' in answer) throw errorOf(answer.failure);
    return answer.seconds;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
