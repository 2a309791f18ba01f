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

export const serveStudio = (t: TestContext, folder: string, model: string): Promise<StudioProgram> =>
  startProgram(t, ['studio', folder, '--model', model]);

export interface Place {
  /** `dist/cli/main.js` of the package that is run; default: this one's. */
  readonly program?: string | undefined;
  readonly cwd?: string | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
}

/** Starts a command that serves the studio. */
export async function startProgram(
  t: TestContext,
  command: readonly string[],
  { program: file = main, cwd, env }: Place = {},
): Promise<StudioProgram> {
  const program = spawn(process.execPath, [file, ...command, '--no-open', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd,
    env,
  });
  t.after(() => program.kill('SIGKILL'));
  const ended = new Promise<never>((_, reject) =>
    program.once('exit', (code) => reject(new Error(`${command.join(' ')} ended with ${code}`))),
  );
  ended.catch(() => undefined);
  const printed = new Promise<Buffer>((resolve) => program.stdout.once('data', resolve));
  const { address } = JSON.parse((await Promise.race([printed, ended])).toString()) as { readonly address: string };
  return {
    address,
    window: await openWindow(address),
    async kill() {
      program.kill('SIGKILL');
      await ended.catch(() => undefined);
    },
  };
}
