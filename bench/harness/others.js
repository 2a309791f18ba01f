import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

const file = '/proc/stat';
/**
 * Milliseconds that the processors were busy, also for other machines (steal), since the start. A
 * tick is 10 ms.
 */
function busy() {
  const [user, nice, system, , , irq, softirq, steal] = readFileSync(file, 'utf8')
    .split('\n')[0]
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return 10 * (user + nice + system + irq + softirq + steal);
}

/**
 * Begins watching what else the machine does: call the result with the processor milliseconds of
 * one's own work for the share of the processors that went to others meanwhile. 0 where the system
 * does not tell.
 */
export function watchOthers() {
  if (!existsSync(file)) return () => 0;
  const from = performance.now(),
    before = busy();
  return (own) => Math.max(0, busy() - before - own) / ((performance.now() - from) * availableParallelism());
}
