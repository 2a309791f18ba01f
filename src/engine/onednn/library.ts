import { existsSync } from 'node:fs';
import koffi, { type LibraryHandle } from 'koffi';
import { PupilError } from '../../errors.js';
import { howToGet } from './advice.js';
import { createAbi2 } from './abi2.js';
import type { Dnnl } from './dnnl.js';

/** Where oneDNN may be, by platform; the loader searches the system's folders for names without one. */
function candidates(): readonly string[] {
  const named = process.env['PUPIL_ONEDNN'];
  if (named) return [named];
  if (process.platform === 'darwin') return ['/opt/homebrew/lib/libdnnl.dylib', '/usr/local/lib/libdnnl.dylib', 'libdnnl.dylib'];
  if (process.platform === 'win32') return ['dnnl.dll'];
  return ['libdnnl.so.2', 'libdnnl.so.3', 'libdnnl.so'];
}

/** Loads the library and says which it is. Throws `unsupported`, in one line, where there is none that this version can use. */
export function loadDnnl(): { readonly dnnl: Dnnl; readonly path: string } {
  const way = howToGet(), advice = `; get oneDNN 2.x${way ? `: ${way}` : ''}, or name a library with PUPIL_ONEDNN, or use --engine ort`;
  const failures: string[] = [];
  beforeLoading();
  for (const path of candidates()) {
    if (path.startsWith('/') && !existsSync(path)) {
      failures.push(`${path} does not exist`);
      continue;
    }
    let library: LibraryHandle;
    try {
      library = koffi.load(path);
      keepLoaded(path);
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
      continue;
    }
    const version = versionOf(library);
    if (version?.[0] === 2 && version[1] >= 5) return { dnnl: createAbi2(library, version.join('.')), path };
    failures.push(version ? `${path} is oneDNN ${version.join('.')}, this version calls 2.5 to 2.7` : `${path} is not oneDNN`);
  }
  throw new PupilError('unsupported', `--engine onednn: ${failures.join('; ')}${advice}`);
}

/**
 * Threads that wait at the end of each of the library's loops sleep instead of spinning: they would burn the cores that decode the next
 * batch, and on a busy machine a step takes six times as long (measured). OpenMP reads this when it is loaded; what the user has set stays.
 */
function beforeLoading(): void {
  if (process.platform === 'win32') return;
  try {
    const set = koffi.load(null).func('int setenv(const char *name, const char *value, int overwrite)') as unknown as (...values: unknown[]) => number;
    set('OMP_WAIT_POLICY', 'PASSIVE', 0);
  } catch {
    // a system without setenv in its C library
  }
}

/** A library whose threads still wait when the process ends must not be unloaded under them: one more reference keeps it. */
function keepLoaded(path: string): void {
  if (process.platform === 'win32') return;
  try {
    const open = koffi.load(null).func('void *dlopen(const char *path, int flags)') as unknown as (path: string, flags: number) => unknown;
    open(path, 1);
  } catch {
    // a system without dlopen in its C library; a crash at the very end is then possible
  }
}

function versionOf(library: LibraryHandle): [number, number, number] | undefined {
  try {
    const version = library.func('const void *dnnl_version()') as () => unknown;
    return koffi.decode(version(), koffi.array('int', 3, 'Array')) as [number, number, number];
  } catch {
    return undefined;
  }
}
