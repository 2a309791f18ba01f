/**
 * What is said when the process ends without an error of its own: an exception that nobody caught, a
 * promise that never settles, a crash in native code, a kill for want of memory.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { printable } from './table.js';

let resume: string | undefined;
let isOn = false;
let watcher: ChildProcess | undefined;

/** The command that goes on with the run under way. */
export const resumeCommand = (): string | undefined => resume;

/** A shell that waits for the end of the process; the last line that it was told is what it says then. */
const script =
  'trap "" INT TERM HUP; said=; while IFS= read -r line; do said=$line; done; ' +
  'if [ -n "$said" ]; then printf "%s\\n" "$said" >&2; fi';

/** From now on: for the command line, not for programs and tests that run commands. */
export function enableLastWords(): void {
  isOn = process.platform !== 'win32';
}

/**
 * A run begins, which `command` goes on with; undefined: it has ended. A process that is killed or
 * crashes in native code cannot say anything itself, so another one does.
 */
export function watchOver(command: string | undefined): void {
  resume = command;
  if (!isOn) return;
  if (watcher === undefined && command !== undefined) watcher = startWatcher();
  const line =
    command === undefined
      ? ''
      : `pupil: killed, or crashed in native code (perhaps for want of memory); continue with ${printable(command)}`;
  watcher?.stdin?.write(`${line}\n`);
}

function startWatcher(): ChildProcess | undefined {
  try {
    const child = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'ignore', 'inherit'] });
    child.on('error', () => undefined); // no shell, no last words
    child.stdin.on('error', () => undefined);
    child.unref();
    (child.stdin as unknown as { unref(): void }).unref();
    process.once('exit', () => child.stdin.write('\n'));
    return child;
  } catch {
    return undefined;
  }
}
