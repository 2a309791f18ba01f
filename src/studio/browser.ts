/** The user's browser, where a command runs. */
import { once } from 'node:events';
import open from 'open';

/** Milliseconds within which a browser that cannot be started says so. */
const patience = 5000;

/** What tells whether there is a browser to open. */
export interface Surroundings {
  readonly platform: NodeJS.Platform;
  readonly environment: NodeJS.ProcessEnv;
  /** Whether a person reads stdout. */
  readonly isTerminal: boolean;
}

/** Why no browser is opened; undefined: one is. `asked`: by name, so that nobody needs to sit at a terminal. */
export function whyNoBrowser(
  { platform, environment, isTerminal }: Surroundings,
  asked: boolean | undefined,
): string | undefined {
  if (asked !== true && !isTerminal) return 'the output is no terminal';
  if (asked !== true && environment['CI'] !== undefined) return 'CI is set';
  const isDisplay = [environment['DISPLAY'], environment['WAYLAND_DISPLAY']].some((display) => (display ?? '') !== '');
  return platform === 'linux' && !isDisplay && environment['WSL_DISTRO_NAME'] === undefined
    ? 'there is no display'
    : undefined;
}

/** Opens an address in the user's browser. False where that is seen to fail, which is no reason to stop. */
export async function openBrowser(address: string): Promise<boolean> {
  try {
    const opener = await open(address);
    if (opener.exitCode === null)
      await once(opener, 'exit', { signal: AbortSignal.timeout(patience) }).catch(() => undefined);
    return (opener.exitCode ?? 0) === 0;
  } catch {
    return false;
  }
}
