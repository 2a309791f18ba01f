#!/usr/bin/env node
import { exitCodes } from './exit-codes.js';
import { interruptedExitCode, stopSignals } from './interrupt.js';
import { enableLastWords } from './last-words.js';
import { failTogether } from '../parallel/join.js';
import { terminalOfRank } from './ranks.js';
import { freshLine, jsonLine } from './terminal.js';

// A reader that has seen enough (`pupil models list | head`) is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
}
// A request to stop where no work is under way that saves its state first, such as while code is loaded.
// The first process of a container gets no other: the system kills it for no signal that it does not handle.
const terminal = terminalOfRank();
for (const name of stopSignals)
  process.on(name, () => {
    if (process.listenerCount(name) > 1) return;
    const message = 'interrupted before anything was saved';
    freshLine();
    terminal.err(`pupil: ${message}\n`);
    if (interruptedExitCode() === undefined && process.argv.includes('--json'))
      terminal.out(jsonLine({ error: { code: 'interrupted', message } }));
    process.exit(exitCodes.interrupted);
  });
enableLastWords();
let hasSpoken = false;
try {
  const { describeFailure, runCommandLine } = await import('./run.js');
  /** One line for what nobody caught; the exit code. */
  const lastLine = (error: unknown): number => {
    const failure = describeFailure(error, new Map());
    if (hasSpoken) return failure.exitCode;
    hasSpoken = true;
    freshLine();
    terminal.err(failure.line);
    if (process.env['PUPIL_DEBUG'] && error instanceof Error) terminal.err(`${error.stack}\n`);
    if (process.argv.includes('--json')) terminal.out(jsonLine({ error: failure.error }));
    return failure.exitCode;
  };
  process.on('uncaughtException', (error) => process.exit(lastLine(error)));
  // Node ends with code 13 where nothing is left to wait for, though the command has not ended.
  process.on('exit', () => {
    if (process.exitCode !== 13) return;
    process.exitCode = lastLine(new Error('the work stopped without a result'));
  });
  let failure: unknown;
  const code = await runCommandLine(process.argv.slice(2), terminal, (error) => (failure = error));
  process.exitCode = interruptedExitCode() ?? code;
  if (code !== 0) await failTogether(failure);
} catch (error) {
  // Deno refuses what it was not allowed, also to read our own files.
  if (!(error instanceof Error) || error.name !== 'NotCapable') throw error;
  terminal.err(`pupil: ${error.message}; pupil needs deno run --allow-all\n`);
  process.exitCode = exitCodes.unsupported;
}
