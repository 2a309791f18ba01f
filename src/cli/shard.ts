/** What a command does with one shard of its work. */
import type { Job } from '../job.js';
import type { ShardResult } from '../jobs/shards/shard.js';
import type { RunEvent } from '../runs/events.js';
import { conclude } from './result.js';
import { count, duration, facts, printable } from './table.js';
import type { Terminal } from './terminal.js';
import { followAlone } from './training-progress.js';

/** Does a shard and says what is in its part. */
export async function doShard(
  start: (signal: AbortSignal) => Job<RunEvent, ShardResult>,
  json: boolean | undefined,
  terminal: Terminal,
): Promise<void> {
  const result = await followAlone(start, terminal);
  conclude(result, () => describe(result), json, terminal);
}

const describe = ({ shard, file, images, unreadable, isDone, seconds }: ShardResult): string =>
  facts([
    ['shard', `${shard.index} of ${shard.count}`],
    ['images', count(images)],
    ...(unreadable > 0 ? [['unreadable', count(unreadable)] as const] : []),
    isDone ? ['time', 'none, it was done before'] : ['time', duration(seconds)],
    ['part', printable(file)],
  ]);
