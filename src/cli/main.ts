#!/usr/bin/env node
import { interruptedExitCode } from './interrupt.js';
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
// Ctrl-C where no work is under way that saves its state first, such as while code is loaded.
const terminal = terminalOfRank();
process.on('SIGINT', () => {
  if (process.listenerCount('SIGINT') > 1) return;
  const message = 'interrupted before anything was saved';
  freshLine();
  terminal.err(`pupil: ${message}\n`);
  if (interruptedExitCode() === undefined && process.argv.includes('--json'))
    terminal.out(jsonLine({ error: { code: 'interrupted', message } }));
  process.exit(130);
});
enableLastWords();
let hasSpoken = false;
try {
  const { describeFailure, runCommandLine } = await import('./run.js');
  /** One line for what nobody caught. */
  const lastLine = (error: unknown): void => {
    if (hasSpoken) return;
    hasSpoken = true;
    freshLine();
    const failure = describeFailure(error, new Map());
    terminal.err(failure.line);
    if (process.env['PUPIL_DEBUG'] && error instanceof Error) terminal.err(`${error.stack}\n`);
    if (process.argv.includes('--json')) terminal.out(jsonLine({ error: failure.error }));
  };
  process.on('uncaughtException', (error) => {
    lastLine(error);
    process.exit(1);
  });
  // Node ends with code 13 where nothing is left to wait for, though the command has not ended.
  process.on('exit', () => {
    if (process.exitCode !== 13) return;
    lastLine(new Error('the work stopped without a result'));
    process.exitCode = 1;
  });
  const code = await runCommandLine(process.argv.slice(2), terminal);
  process.exitCode = interruptedExitCode() ?? code;
  if (code !== 0) await failTogether();
} catch (error) {
  // Deno refuses what it was not allowed, also to read our own files.
  if (!(error instanceof Error) || error.name !== 'NotCapable') throw error;
  terminal.err(`pupil: ${error.message}; pupil needs deno run --allow-all\n`);
  process.exitCode = 2;
}
