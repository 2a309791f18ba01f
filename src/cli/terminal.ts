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

/** What `--json` prints: one object on one line, with the version of its form. */
export const jsonLine = (result: object): string => `${JSON.stringify({ schema: 1, ...result })}\n`;

/** Whether a text is what `jsonLine` makes. */
export const isJsonLine = (text: string): boolean => text.startsWith('{"schema":');
