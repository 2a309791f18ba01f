import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Why tests of several ranks are skipped, or false where there is a launcher. */
export const withoutMpirun: string | false =
  spawnSync('mpirun', ['--version']).status === 0 ? false : 'needs mpirun (openmpi-bin)';

const cli = fileURLToPath(new URL('../cli/main.js', import.meta.url));

/** Lets Open MPI start any number of ranks on this machine alone, in a container and as root too. */
const everywhere = {
  OMPI_ALLOW_RUN_AS_ROOT: '1',
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
  OMPI_MCA_rmaps_base_oversubscribe: '1',
  OMPI_MCA_hwloc_base_binding_policy: 'none',
  OMPI_MCA_btl_vader_single_copy_mechanism: 'none',
  // Nothing is started elsewhere, but the launcher wants to find a way to.
  OMPI_MCA_plm_rsh_agent: '/bin/false',
  // A busy machine is no lost rank.
  PUPIL_MPI_TIMEOUT: '600',
};

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/**
 * Runs `pupil` as several ranks. `pidFile` gets the number of the last one's process; `environment` is that of all.
 */
export function mpirun(
  ranks: number,
  argv: readonly string[],
  { pidFile, environment = {} }: { readonly pidFile?: string; readonly environment?: Record<string, string> } = {},
): Promise<Ended> {
  const command = [process.execPath, cli, ...argv];
  const first = ['-n', String(pidFile === undefined ? ranks : ranks - 1), ...command];
  const last = ['-n', '1', 'sh', '-c', 'echo $$ > "$0"; exec "$@"', pidFile ?? '', ...command];
  const child = spawn('mpirun', pidFile === undefined ? first : [...first, ':', ...last], {
    env: { ...process.env, ...everywhere, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '',
    err = '';
  child.stdout.on('data', (data) => (out += String(data)));
  child.stderr.on('data', (data) => (err += String(data)));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}
