/** Where a command writes. Progress and messages go to `err`; only results go to `out`. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** Whether `err` is shown to a person, so that a line may be drawn over. */
  readonly interactive: boolean;
  /** Columns of the display. */
  readonly width: number;
}

/** The terminal of this process. */
export const processTerminal = (): Terminal => ({
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  interactive: process.stderr.isTTY === true && process.env['TERM'] !== 'dumb' && process.env['CI'] === undefined,
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
export const jsonLine = (result: object): string => shown(`${JSON.stringify({ schema: 1, ...result })}\n`);

/** Whether a text is what `jsonLine` makes. */
export const isJsonLine = (text: string): boolean => text.startsWith('{"schema":');
