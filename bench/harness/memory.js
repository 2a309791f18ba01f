import { existsSync, readFileSync } from 'node:fs';

/**
 * Most resident memory that this process had so far, in MiB. The kernel's own mark: getrusage also
 * counts what its parent had.
 */
export function peakMemory() {
  const status = '/proc/self/status';
  if (!existsSync(status)) return process.resourceUsage().maxRSS / 1024;
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(status, 'utf8'))[1]) / 1024;
}
