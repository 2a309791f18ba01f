import type { SingleBar } from 'cli-progress';
import type { Terminal } from './terminal.js';
import { duration, printable } from './table.js';

/**
 * Shows how far a long piece of work is: a bar on a terminal, a line now and then elsewhere. All on
 * stderr.
 */
export interface Progress {
  /**
   * Begins a phase of `total` units (undefined: not known), `done` of them done before, ending the
   * phase before.
   */
  phase(name: string, total: number | undefined, unit: string, done?: number): void;
  /** Tells how many units are done, with a few words (loss, accuracy) to show beside. */
  update(done: number, words?: string): void;
  /** A line that stays. */
  note(line: string): void;
  /** Ends the phase. */
  end(): void;
}

/** Without a terminal, a line is written at most so often, in milliseconds. */
const lineInterval = 10_000;

/** Progress on a terminal's stderr. `now` gives milliseconds. */
export async function createProgress(terminal: Terminal, now: () => number = Date.now): Promise<Progress> {
  return terminal.interactive ? bars(terminal, now) : lines(terminal, now);
}

/**
 * Units a second over the last part of the phase, so that a slow start (compiling, a cold cache) is
 * forgotten.
 */
function meter(now: () => number): { start(done: number): void; add(done: number): void; rate(): number } {
  let marks: [time: number, done: number][] = [];
  return {
    start: (done) => {
      marks = [[now(), done]];
    },
    add: (done) => {
      marks.push([now(), done]);
      if (marks.length > 60) marks.splice(1, 1);
      while (marks.length > 2 && now() - marks[0]![0] > 20_000) marks.shift();
    },
    rate: () => {
      const [first, last] = [marks[0]!, marks[marks.length - 1]!];
      const seconds = (last[0] - first[0]) / 1000;
      return seconds > 0 ? (last[1] - first[1]) / seconds : 0;
    },
  };
}

const rateText = (rate: number, unit: string): string =>
  rate <= 0 ? '' : `${rate >= 10 ? Math.round(rate) : rate.toPrecision(2)} ${unit}/s`;
const leftText = (rate: number, left: number): string =>
  rate <= 0 || left <= 0 ? '' : `${duration(left / rate)} left`;
const join = (...parts: string[]): string => parts.filter((part) => part !== '').join(', ');

async function bars(terminal: Terminal, now: () => number): Promise<Progress> {
  const { default: cliProgress } = await import('cli-progress');
  const speed = meter(now);
  let bar: SingleBar | undefined;
  let unit = '',
    total: number | undefined,
    title = '',
    finished = 0,
    words = '';
  const close = (): void => {
    bar?.stop();
    bar = undefined;
  };
  const open = (): void => {
    bar = new cliProgress.SingleBar({
      format: '{title} {bar} {done}',
      barsize: 24,
      barCompleteChar: '\u2588',
      barIncompleteChar: '\u2591',
      hideCursor: false,
      clearOnComplete: true,
      stopOnComplete: false,
      linewrap: false,
      stream: process.stderr,
      fps: 8,
      gracefulExit: false,
    });
    bar.start(total ?? 1, total === undefined ? 0 : finished, { title, done: '' });
  };
  const progress: Progress = {
    phase(name, newTotal, newUnit, done = 0) {
      close();
      [title, total, unit, finished, words] = [printable(name), newTotal, newUnit, done, ''];
      speed.start(done);
      open();
    },
    update(done, newWords = words) {
      if (bar === undefined) return;
      [finished, words] = [done, newWords];
      speed.add(done);
      const rate = speed.rate();
      const place = total === undefined ? `${done} ${unit}` : `${done}/${total} ${unit}`;
      bar.update(total === undefined ? 0 : done, {
        title,
        done: join(place, rateText(rate, unit), words, leftText(rate, (total ?? 0) - done)),
      });
    },
    note(line) {
      const shown = bar !== undefined;
      close();
      terminal.err(`${printable(line)}\n`);
      if (shown) {
        open();
        progress.update(finished);
      }
    },
    end: close,
  };
  return progress;
}

function lines(terminal: Terminal, now: () => number): Progress {
  const speed = meter(now);
  let title = '',
    unit = '',
    total: number | undefined,
    finished = 0,
    words = '',
    last = 0,
    open = false;
  const line = (): void => {
    const rate = speed.rate();
    const place = total === undefined ? `${finished} ${unit}` : `${finished}/${total} ${unit}`;
    terminal.err(`${title}: ${join(place, rateText(rate, unit), words, leftText(rate, (total ?? 0) - finished))}\n`);
    last = now();
  };
  const end = (): void => {
    if (open && finished > 0) line();
    open = false;
  };
  return {
    phase(name, newTotal, newUnit, done = 0) {
      end();
      [title, total, unit, finished, words, last, open] = [printable(name), newTotal, newUnit, done, '', now(), true];
      speed.start(done);
    },
    update(done, newWords = words) {
      [finished, words] = [done, newWords];
      speed.add(done);
      if (open && now() - last >= lineInterval) line();
    },
    note: (text) => terminal.err(`${printable(text)}\n`),
    end,
  };
}
