import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { TwoHosts } from './two-hosts.js';

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

export interface MpirunOptions {
  /** Gets the number of the last rank's process. */
  readonly pidFile?: string;
  /** What the last rank is told in place of `argv`. */
  readonly last?: readonly string[];
  /** Of all ranks. */
  readonly environment?: Record<string, string>;
  /** Hosts that the ranks are dealt out to in turn; default this machine. */
  readonly hosts?: TwoHosts;
  /** A folder that gets each rank's own last words, `RANK.err`, and its exit code, `RANK.code`. */
  readonly logs?: string;
}

/** Runs `pupil` as several ranks. */
export function mpirun(
  ranks: number,
  argv: readonly string[],
  { pidFile, last, environment = {}, hosts, logs }: MpirunOptions = {},
): Promise<Ended> {
  const commandOf = (argv: readonly string[]): string[] => {
    const pupil = [process.execPath, cli, ...argv];
    return logs === undefined ? pupil : ['sh', '-c', logging, logs, ...pupil];
  };
  const isApart = pidFile !== undefined || last !== undefined;
  const first = ['-n', String(isApart ? ranks - 1 : ranks), ...commandOf(argv)];
  const ownPid = pidFile === undefined ? [] : ['sh', '-c', 'echo $$ > "$0"; exec "$@"', pidFile];
  const apart = isApart ? [':', '-n', '1', ...ownPid, ...commandOf(last ?? argv)] : [];
  const whole = ['mpirun', ...(hosts ? across(hosts, ranks) : []), ...first, ...apart];
  const [program, ...words] = (hosts?.onFirst(whole) ?? whole) as [string, ...string[]];
  const child = spawn(program, words, {
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

const logging = '"$@" 2>"$0/$OMPI_COMM_WORLD_RANK.err"; echo $? >"$0/$OMPI_COMM_WORLD_RANK.code"';

/** What has Open MPI start ranks on both hosts, and talk over the link between them. */
function across({ addresses, agent }: TwoHosts, ranks: number): string[] {
  const [first, second] = addresses;
  const here = Math.ceil(ranks / 2);
  return [
    ['--host', `${first}:${here},${second}:${ranks - here}`],
    ['--mca', 'plm_rsh_agent', agent],
    ['--mca', 'btl', 'tcp,self'],
    ...['oob', 'btl'].map((part) => ['--mca', `${part}_tcp_if_include`, `${first}/24`]),
  ].flat();
}
