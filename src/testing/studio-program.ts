/** `pupil studio` in a process of its own, which tests can kill. */
import { spawn } from 'node:child_process';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openWindow, type Window } from './studio-client.js';

const main = fileURLToPath(new URL('../cli/main.js', import.meta.url));

export interface StudioProgram {
  /** With its token. */
  readonly address: string;
  readonly window: Window;
  kill(): Promise<void>;
}

export async function serveStudio(t: TestContext, folder: string, model: string): Promise<StudioProgram> {
  const program = spawn(process.execPath, [main, 'studio', folder, '--model', model, '--no-open', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => program.kill('SIGKILL'));
  const ended = new Promise((resolve) => program.once('exit', resolve));
  const line = await new Promise<Buffer>((resolve) => program.stdout.once('data', resolve));
  const { address } = JSON.parse(line.toString()) as { readonly address: string };
  return {
    address,
    window: await openWindow(address),
    async kill() {
      program.kill('SIGKILL');
      await ended;
    },
  };
}
