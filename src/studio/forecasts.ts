/** How long a training would take: worked out in a process beside, one at a time, for the latest who asks. */
import { fork, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PupilError } from '../errors.js';
import { errorOf } from '../threads/protocol.js';
import type { ChildRequest, ForecastAnswer, ForecastRequest } from './child.js';

type Asked = Omit<ChildRequest, 'data'>;

export interface Forecasts {
  /**
   * Seconds; `listIn` writes the list of images and labels into a folder that is thrown away. Ends one that is
   * under way, which fails as `interrupted`. Throws what the training would throw.
   */
  of(request: Asked, listIn: (folder: string) => Promise<string>): Promise<number>;
  /** Ends what is under way. */
  stop(): Promise<void>;
}

export function createForecasts(): Forecasts {
  let child: ChildProcess | undefined,
    ended: Promise<unknown> = Promise.resolve(),
    latest = 0;
  const stop = async (): Promise<void> => {
    latest++;
    child?.kill('SIGKILL');
    await ended;
  };
  return {
    stop,
    async of(request, listIn) {
      const stopped = stop(),
        own = latest;
      await stopped;
      // Another one came meanwhile.
      if (own !== latest) throw superseded();
      const work = forecastIn(request, { listIn, tell: (started) => (child = started) });
      ended = work.catch(() => undefined);
      return work;
    },
  };
}

const superseded = (): PupilError => new PupilError('interrupted', 'it is no longer worked out how long that takes');

interface Beside {
  readonly listIn: (folder: string) => Promise<string>;
  readonly tell: (child: ChildProcess) => void;
}

async function forecastIn(request: Asked, { listIn, tell }: Beside): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'pupil-forecast-'));
  try {
    const data = await listIn(folder);
    const child = fork(new URL('./forecast-child.js', import.meta.url), {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    tell(child);
    let answer: ForecastAnswer | undefined;
    child.on('message', (message: ForecastAnswer) => (answer = message));
    const over = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.once('error', () => resolve());
    });
    child.send({ ...request, data, out: join(folder, 'run') } satisfies ForecastRequest);
    await over;
    if (answer === undefined) throw superseded();
    if ('failure' in answer) throw errorOf(answer.failure);
    return answer.seconds;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
