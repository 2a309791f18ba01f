#!/usr/bin/env node
import { interruptedExitCode } from './interrupt.js';
import { runCommandLine } from './run.js';
import { processTerminal } from './terminal.js';

// A reader that has seen enough (`pupil models list | head`) is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
}
const code = await runCommandLine(process.argv.slice(2), processTerminal());
process.exitCode = interruptedExitCode() ?? code;
