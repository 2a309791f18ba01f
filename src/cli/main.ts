#!/usr/bin/env node
import { interruptedExitCode } from './interrupt.js';
import { freshLine, jsonLine, processTerminal } from './terminal.js';

// A reader that has seen enough (`pupil models list | head`) is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
}
// Ctrl-C where no work is under way that saves its state first, such as while code is loaded.
const terminal = processTerminal();
process.on('SIGINT', () => {
  if (process.listenerCount('SIGINT') > 1) return;
  const message = 'interrupted before anything was saved';
  freshLine();
  terminal.err(`pupil: ${message}\n`);
  if (interruptedExitCode() === undefined && process.argv.includes('--json'))
    terminal.out(jsonLine({ error: { code: 'interrupted', message } }));
  process.exit(130);
});
try {
  const { runCommandLine } = await import('./run.js');
  const code = await runCommandLine(process.argv.slice(2), terminal);
  process.exitCode = interruptedExitCode() ?? code;
} catch (error) {
  // Deno refuses what it was not allowed, also to read our own files.
  if (!(error instanceof Error) || error.name !== 'NotCapable') throw error;
  terminal.err(`pupil: ${error.message}; pupil needs deno run --allow-all\n`);
  process.exitCode = 2;
}
