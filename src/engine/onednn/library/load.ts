import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import koffi, { type LibraryHandle } from 'koffi';
import { PupilError } from '../../../errors.js';
import { keepLoaded } from '../../../threads/keep-loaded.js';
import { howToGet } from './advice.js';
import { createAbi2 } from './abi2.js';
import { createAbi3 } from './abi3.js';
import type { Dnnl } from './dnnl.js';

/**
 * Where oneDNN may be, by platform; the loader searches the system's folders for names without one.
 */
function candidates(): readonly string[] {
  const named = process.env['PUPIL_ONEDNN'];
  if (named) return [named];
  if (process.platform === 'darwin')
    return ['/opt/homebrew/lib/libdnnl.dylib', '/usr/local/lib/libdnnl.dylib', 'libdnnl.dylib'];
  if (process.platform === 'win32') return ['dnnl.dll'];
  return ['libdnnl.so.2', 'libdnnl.so.3', 'libdnnl.so'];
}

/** The library's name for threads by SYCL, whose memory is not ours (`DNNL_RUNTIME_SYCL`). */
const sycl = 512;

/**
 * Loads the library and says which it is. Throws `unsupported`, in one line, where there is none
 * that this version can use.
 */
export function loadDnnl(): { readonly dnnl: Dnnl; readonly path: string } {
  const way = howToGet(),
    advice = `; get oneDNN${way ? `: ${way}` : ''}, or name a library with PUPIL_ONEDNN, or use \`engine: ort\``;
  const failures: string[] = [];
  beforeLoading();
  for (const path of candidates()) {
    if (path.startsWith('/') && !existsSync(path)) {
      failures.push(`${path} does not exist`);
      continue;
    }
    let library: LibraryHandle;
    try {
      library = loadWithNeighbours(path);
      keepLoaded(path);
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
      continue;
    }
    const about = versionOf(library);
    if (!about) {
      failures.push(`${path} is not oneDNN`);
      continue;
    }
    const {
        version: [major, minor],
        runtime,
      } = about,
      version = about.version.join('.');
    if (runtime === sycl) {
      failures.push(`${path} (oneDNN ${version}) is built for SYCL, a build for OpenMP, TBB or one thread is needed`);
      continue;
    }
    if (major === 2 && minor >= 5) return { dnnl: createAbi2(library, version, runtime), path };
    if (major === 3) return { dnnl: createAbi3(library, version, runtime), path };
    failures.push(`${path} is oneDNN ${version}, this version calls 2.5 and later`);
  }
  throw new PupilError('unsupported', `oneDNN cannot be used: ${failures.join('; ')}${advice}`);
}

/**
 * Threads that wait at the end of each of the library's loops sleep instead of spinning: they would
 * burn the cores that decode the next batch, and on a busy machine a step takes six times as long
 * (measured). OpenMP reads this when it is loaded; what the user has set stays.
 */
function beforeLoading(): void {
  if (process.platform === 'win32') return;
  try {
    const set = koffi.load(null).func('int setenv(const char *name, const char *value, int overwrite)') as unknown as (
      ...values: unknown[]
    ) => number;
    set('OMP_WAIT_POLICY', 'PASSIVE', 0);
  } catch {
    // a system without setenv in its C library
  }
}

/**
 * Loads a library whose own libraries may lie beside it, where the loader does not look (as in
 * Python's packages).
 */
function loadWithNeighbours(path: string): LibraryHandle {
  for (let last = ''; ;) {
    try {
      return koffi.load(path);
    } catch (error) {
      const missing = /([\w.+-]+\.so[\d.]*): cannot open shared object file/.exec(
        error instanceof Error ? error.message : '',
      )?.[1];
      if (!missing || !path.includes('/') || missing === last || !existsSync(join(dirname(path), missing))) throw error;
      last = missing;
      const neighbour = join(dirname(path), missing);
      if (neighbour === path) throw error;
      loadWithNeighbours(neighbour);
      keepLoaded(neighbour);
    }
  }
}

/** What a library says of itself: its version, and what its threads are (`dnnl_version_t`). */
function versionOf(
  library: LibraryHandle,
): { readonly version: readonly [number, number, number]; readonly runtime: number } | undefined {
  try {
    const about = (library.func('const void *dnnl_version()') as () => unknown)();
    const [major, minor, patch, , , , runtime] = koffi.decode(about, koffi.array('int', 7, 'Array')) as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    return { version: [major, minor, patch], runtime };
  } catch {
    return undefined;
  }
}
