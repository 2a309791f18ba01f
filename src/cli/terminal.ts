import { inForm } from '../artifact/json-result.js';

/** Where a command writes. Progress and messages go to `err`; only results go to `out`. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** Whether `err` is shown to a person, so that a line may be drawn over. */
  readonly interactive: boolean;
  /** Columns of the display. */
  readonly width: number;
}

/** Removes what stands in the line of the cursor. */
export const clearLine = '\r\u001b[K';

/** Removes the bar that is drawn in the last line of the display, while there is one. */
let erase: (() => void) | undefined;

/** How the line that is drawn over and over is removed before anything else is written; undefined: there is none. */
export function drawnLine(remove: (() => void) | undefined): void {
  erase = remove;
}

/** Whether lines can be drawn over. */
const isDisplay = (): boolean => process.stderr.isTTY === true && process.env['TERM'] !== 'dumb';

/** Begins a line of its own on stderr, where a bar or the `^C` of the terminal stands. */
export const freshLine = (): void => void process.stderr.write(isDisplay() ? clearLine : '\n');

/** The terminal of this process. */
export const processTerminal = (): Terminal => ({
  out(text) {
    if (process.stdout.isTTY) erase?.();
    process.stdout.write(text);
  },
  err(text) {
    erase?.();
    process.stderr.write(text);
  },
  interactive: isDisplay() && process.env['CI'] === undefined,
  width: Math.min(process.stdout.columns || 100, 120),
});

/** A control character as JSON writes it: `\n`, `\u001b`. */
export const escaped = (character: string): string =>
  JSON.stringify(character)
    .slice(1, -1)
    .replace(/^[^\\]$/, `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

/**
 * A text as a terminal may get it, wherever it comes from: control characters but line ends and
 * tabs, and those that turn the direction of writing, are shown as escapes.
 */
export const shown = (text: string): string =>
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, escaped);

/** What `--json` prints: one object on one line, with the version of its form. */
export const jsonLine = (result: object): string => shown(`${JSON.stringify(inForm(result))}\n`);

/** Whether a text is what `jsonLine` makes. */
export const isJsonLine = (text: string): boolean => text.startsWith('{"schema":');
