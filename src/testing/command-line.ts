import { runCommandLine } from '../cli/run.js';
import type { Terminal } from '../cli/terminal.js';

/** What a command wrote, and its exit code. */
export interface Captured {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command of the command line in this process, as in a terminal that is no display. */
export async function pupil(...argv: string[]): Promise<Captured> {
  let out = '',
    err = '';
  const terminal: Terminal = {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    interactive: false,
    width: 100,
  };
  const code = await runCommandLine(argv, terminal);
  return { code, out, err };
}
