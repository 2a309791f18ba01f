import type { Slice } from '../communicator.js';

/** What a launcher tells a process of its place among those that it started. */
export interface Launched extends Slice {
  /** Processes on this machine, as far as it is told. */
  readonly onThisMachine: number;
  /** Whose variables these are. */
  readonly kind: 'open-mpi' | 'pmi';
}

type Variables = Readonly<Record<string, string | undefined>>;

/** A variable; undefined where it is not set, or Deno does not let the program see it. */
function told(variables: Variables, name: string): string | undefined {
  try {
    return variables[name];
  } catch {
    return undefined;
  }
}

/**
 * The rank of this process, where `mpirun`, `mpiexec` or `srun` started it as one of an MPI program; undefined: it
 * was started alone. The variables of Slurm count only beside those of MPI: jobs that are no MPI programs have
 * them too.
 */
export function launchedAs(variables: Variables = process.env): Launched | undefined {
  const number = (...names: readonly string[]): number | undefined => {
    const text = names.map((name) => told(variables, name)).find((value) => value !== undefined && /^\d+$/.test(value));
    return text === undefined ? undefined : Number(text);
  };
  const place = (
    kind: Launched['kind'],
    rank: number | undefined,
    size: number | undefined,
    onThisMachine = size,
  ): Launched | undefined =>
    rank === undefined || size === undefined || size < 2 || onThisMachine === undefined
      ? undefined
      : { kind, rank, size, onThisMachine };
  return (
    place(
      'open-mpi',
      number('OMPI_COMM_WORLD_RANK'),
      number('OMPI_COMM_WORLD_SIZE'),
      number('OMPI_COMM_WORLD_LOCAL_SIZE'),
    ) ??
    place('pmi', number('PMI_RANK'), number('PMI_SIZE'), number('MPI_LOCALNRANKS')) ??
    place('pmi', number('PMIX_RANK', 'PMI_RANK'), number('SLURM_STEP_NUM_TASKS', 'SLURM_NTASKS'), tasksHere(variables))
  );
}

/** Slurm's tasks on this machine: the first of `2(x3),1`, which are equal where it matters. */
function tasksHere(variables: Variables): number | undefined {
  const first = /^\d+/.exec(told(variables, 'SLURM_STEP_TASKS_PER_NODE') ?? '')?.[0];
  return first === undefined ? undefined : Number(first);
}
