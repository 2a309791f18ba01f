/** The MPI library: its C functions, called from TypeScript. */
import { existsSync } from 'node:fs';
import koffi, { type LibraryHandle } from 'koffi';
import { PupilError } from '../../errors.js';
import { keepLoaded } from '../../threads/keep-loaded.js';
import type { Launched } from './launcher.js';

/** A function of the library; `async` calls it in another thread. */
export type CFunction = ReturnType<LibraryHandle['func']>;

/** A handle of the library: an address in Open MPI, a number in MPICH. */
type Handle = bigint | number;

/** What the two families of libraries do differently. */
export interface Mpi {
  /** The library in words. */
  readonly version: string;
  readonly path: string;
  readonly world: Handle;
  readonly float: Handle;
  readonly byte: Handle;
  readonly sum: Handle;
  /** In place of what is sent: what is received is also what is sent. */
  readonly inPlace: bigint;
  /** A function by its declaration, in which `handle` is a type. */
  function(declaration: string): CFunction;
}

/** Where it may be; the loader searches the system's folders for names without one. */
function candidates(kind: Launched['kind']): readonly string[] {
  const named = process.env['PUPIL_MPI'];
  if (named) return [named];
  if (process.platform === 'darwin')
    return ['/opt/homebrew/lib/libmpi.dylib', '/usr/local/lib/libmpi.dylib', 'libmpi.dylib'];
  const openMpi = ['libmpi.so.40', 'libmpi.so.80'],
    mpich = ['libmpich.so.12', 'libmpi.so.12'];
  return [...(kind === 'open-mpi' ? [...openMpi, ...mpich] : [...mpich, ...openMpi]), 'libmpi.so'];
}

/**
 * Loads the library that fits the launcher. Throws `unsupported`, in one line, where there is none that this
 * version can use.
 */
export function loadMpi(kind: Launched['kind']): Mpi {
  const failures: string[] = [];
  for (const path of candidates(kind)) {
    if (path.startsWith('/') && !existsSync(path)) {
      failures.push(`${path} does not exist`);
      continue;
    }
    try {
      // Open MPI's own plug-ins look for its functions among all that is loaded.
      const mpi = describe(koffi.load(path, { global: true }), path);
      // Threads that have waited in its calls have something of Open MPI to free when they end.
      keepLoaded(path);
      return mpi;
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new PupilError(
    'unsupported',
    `started by a launcher of MPI, but MPI cannot be used: ${failures.join('; ')}; install Open MPI or MPICH ` +
      '(apt-get install openmpi-bin), or name the library of the launcher with PUPIL_MPI',
  );
}

function describe(library: LibraryHandle, path: string): Mpi {
  const version = versionOf(library);
  const address = (name: string): bigint | undefined => {
    try {
      return koffi.address(library.symbol(name));
    } catch {
      return undefined;
    }
  };
  const declare = (handle: string) => (declaration: string) => library.func(declaration.replaceAll('handle ', handle));
  const world = address('ompi_mpi_comm_world');
  if (world !== undefined)
    return {
      version,
      path,
      world,
      float: address('ompi_mpi_float')!,
      byte: address('ompi_mpi_byte')!,
      sum: address('ompi_mpi_op_sum')!,
      inPlace: 1n,
      function: declare('void *'),
    };
  // Those that keep MPICH's binary interface: Intel MPI, MVAPICH, Cray MPICH and others.
  if (/mpich|intel|mvapich|parastation/i.test(version))
    return {
      version,
      path,
      world: 0x44000000,
      float: 0x4c00040a,
      byte: 0x4c00010d,
      sum: 0x58000003,
      inPlace: 0xffffffffffffffffn,
      function: declare('int '),
    };
  throw new Error(`${path} (${version}) is neither Open MPI nor MPICH`);
}

/** The library's first line about itself. */
function versionOf(library: LibraryHandle): string {
  const text = Buffer.alloc(8192),
    length = Buffer.alloc(4);
  library.func('int MPI_Get_library_version(void *version, void *length)')(text, length);
  return text
    .toString('latin1', 0, length.readInt32LE())
    .replace(/[\0\n].*$/s, '')
    .trim();
}
