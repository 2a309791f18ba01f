import koffi from 'koffi';

/**
 * A library that has threads of its own when the process ends, or has something to free when others end, must not be
 * unloaded before: one more reference keeps it.
 */
export function keepLoaded(path: string): void {
  if (process.platform === 'win32') return;
  try {
    const open = koffi.load(null).func('void *dlopen(const char *path, int flags)') as unknown as (
      path: string,
      flags: number,
    ) => unknown;
    open(path, 1);
  } catch {
    // a system without dlopen in its C library; a crash at the very end is then possible
  }
}
