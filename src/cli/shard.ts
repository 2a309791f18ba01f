/** What a command does with one shard of its work. */
import { PupilError } from '../errors.js';
import type { Job } from '../job.js';
import type { ShardResult } from '../jobs/shards/shard.js';
import type { RunEvent } from '../runs/events.js';
import { conclude } from './result.js';
import { duration } from '../report/format.js';
import { count, facts, printable } from './table.js';
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

/** Throws `usage` for what has no use when parts are merged. */
export function refuseOthers(options: object): void {
  const [name] = Object.entries(options).find(([, value]) => value !== undefined) ?? [];
  if (name === undefined) return;
  throw new PupilError('usage', `\`${name}\` has no use with \`merge\`: the parts are made already; leave it out`, {
    option: name,
  });
}

const describe = ({ shard, file, images, skipped, isDone, seconds }: ShardResult): string =>
  facts([
    ['shard', `${shard.index} of ${shard.count}`],
    ['images', count(images)],
    ...(skipped.length > 0 ? [['skipped', `${count(skipped.length)} unreadable`] as const] : []),
    isDone ? ['time', 'none, it was done before'] : ['time', duration(seconds)],
    ['part', printable(file)],
  ]);
