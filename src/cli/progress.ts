import type { SingleBar } from 'cli-progress';
import { clearLine, drawnLine, type Terminal } from './terminal.js';
import { duration } from '../report/format.js';
import { cut, displayWidth, printable } from './table.js';

/**
 * Shows how far a long piece of work is: a bar on a terminal, a line now and then elsewhere. All on
 * stderr.
 */
export interface Progress {
  /**
   * Begins a phase of `total` units (undefined: not known), `done` of them done before, ending the
   * phase before. One of the same name and unit goes on, with another total.
   */
  phase(name: string, total: number | undefined, unit: string, done?: number): void;
  /** Tells how many units are done, with a few words (loss, accuracy) to show beside. */
  update(done: number, words?: readonly string[]): void;
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

/** What a bar shows. */
export interface BarState {
  readonly title: string;
  /** `20/100 images` */
  readonly place: string;
  /** Time left; empty: not known. */
  readonly left: string;
  /** More, the most important first. */
  readonly words: readonly string[];
  /** How much is done, 0 to 1; undefined: of an unknown total. */
  readonly share: number | undefined;
}

/** A bar as one line of at most `width` columns: the time left first, then as much as there is room for. */
export function barLine({ title, place, left, words, share }: BarState, width: number): string {
  const size = width >= 100 ? 24 : width >= 60 ? 16 : 8;
  const full = Math.round(size * Math.min(1, Math.max(0, share ?? 0)));
  const bar = share === undefined ? '' : '\u2588'.repeat(full) + '\u2591'.repeat(size - full);
  const head = [left, bar].filter((part) => part !== '').join(' ');
  const room = Math.max(0, width - displayWidth(head) - 1);
  const beside = room - displayWidth(place) - 1;
  let text = cut(title, beside >= 8 ? beside : room);
  for (const part of [place, ...words].filter((word) => word !== '')) {
    const longer = `${text}${text === '' || part === place ? ' ' : ', '}${part}`;
    if (displayWidth(longer) <= room) text = longer;
  }
  return cut([head, text].filter((part) => part !== '').join(' '), width);
}

/** Columns of the display where bars are drawn; the last one stays free, so that nothing wraps. */
const barWidth = (terminal: Terminal): number => (process.stderr.columns || terminal.width) - 1;

async function bars(terminal: Terminal, now: () => number): Promise<Progress> {
  const { default: cliProgress } = await import('cli-progress');
  const speed = meter(now);
  let bar: SingleBar | undefined;
  let unit = '',
    total: number | undefined,
    title = '',
    finished = 0,
    words: readonly string[] = [];
  const close = (): void => {
    drawnLine(undefined);
    bar?.stop();
    bar = undefined;
  };
  const draw = (): string => {
    const rate = speed.rate();
    return barLine(
      {
        title,
        place: total === undefined ? `${finished} ${unit}` : `${finished}/${total} ${unit}`,
        left: leftText(rate, (total ?? 0) - finished),
        words: [...words, rateText(rate, unit)],
        share: total === undefined ? undefined : total === 0 ? 1 : finished / total,
      },
      barWidth(terminal),
    );
  };
  const open = (): void => {
    bar = new cliProgress.SingleBar({
      format: draw,
      hideCursor: false,
      clearOnComplete: true,
      stopOnComplete: false,
      linewrap: true,
      forceRedraw: true,
      stream: process.stderr,
      fps: 8,
      gracefulExit: false,
    });
    bar.start(1, 0);
    drawnLine(() => process.stderr.write(clearLine));
  };
  return {
    phase(name, newTotal, newUnit, done = 0) {
      const goesOn = bar !== undefined && title === printable(name) && unit === newUnit;
      if (!goesOn) {
        close(); // draws the one before for the last time
        speed.start(done);
      } else speed.add(done);
      [title, total, unit, finished, words] = [printable(name), newTotal, newUnit, done, goesOn ? words : []];
      if (!goesOn) open();
    },
    update(done, newWords = words) {
      if (bar === undefined) return;
      [finished, words] = [total === undefined ? done : Math.min(done, total), newWords];
      speed.add(finished);
      bar.update(0);
    },
    note(line) {
      const shown = bar !== undefined;
      close();
      terminal.err(`${printable(line)}\n`);
      if (shown) open();
    },
    end: close,
  };
}

function lines(terminal: Terminal, now: () => number): Progress {
  const speed = meter(now);
  let title = '',
    unit = '',
    total: number | undefined,
    finished = 0,
    words: readonly string[] = [],
    last = 0,
    open = false;
  const line = (): void => {
    const rate = speed.rate();
    const place = total === undefined ? `${finished} ${unit}` : `${finished}/${total} ${unit}`;
    terminal.err(`${title}: ${join(place, rateText(rate, unit), ...words, leftText(rate, (total ?? 0) - finished))}\n`);
    last = now();
  };
  const end = (): void => {
    if (open && finished > 0) line();
    open = false;
  };
  return {
    phase(name, newTotal, newUnit, done = 0) {
      if (open && title === printable(name) && unit === newUnit) {
        [total, finished] = [newTotal, done];
        return speed.add(done);
      }
      end();
      [title, total, unit, finished, words, last, open] = [printable(name), newTotal, newUnit, done, [], now(), true];
      speed.start(done);
    },
    update(done, newWords = words) {
      [finished, words] = [total === undefined ? done : Math.min(done, total), newWords];
      speed.add(finished);
      if (open && now() - last >= lineInterval) line();
    },
    note: (text) => terminal.err(`${printable(text)}\n`),
    end,
  };
}
