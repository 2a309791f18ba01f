import { launchedAs } from '../parallel/mpi/launcher.js';
import { processTerminal, type Terminal } from './terminal.js';

/** Commands that several ranks run, or refuse, as one. Others may be started many times, each for its own part. */
const asOne = new Set(['train', 'distill', 'self-train', 'learn', 'search', 'demo', 'gap']);

/** The terminal of this process. Of ranks that run a command together only the first speaks. */
export function terminalOfRank(words: readonly string[] = process.argv.slice(2)): Terminal {
  const terminal = processTerminal();
  const launched = launchedAs();
  const command = words.find((word) => !word.startsWith('-'));
  if (!launched || launched.rank === 0 || command === undefined || !asOne.has(command)) return terminal;
  return { ...terminal, out: () => undefined, err: () => undefined, interactive: false };
}
