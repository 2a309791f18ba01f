/** Which shard this process is, and which part of a list that is. */
import { PupilError } from '../../errors.js';
import type { Shard, ShardChoice } from '../../options/shards.js';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The shard that was asked for. `auto` is what the launcher says: a Slurm array's task, with its
 * minimum, step and count, or the completion index of a Kubernetes Indexed Job, which does not say how
 * many there are. Throws `usage` where it says nothing, or nothing that fits.
 */
export function chooseShard(choice: ShardChoice, environment: Environment = process.env): Shard {
  if (!('auto' in choice)) return choice;
  const { count } = choice;
  if (environment['SLURM_ARRAY_TASK_ID'] !== undefined) return ofSlurm(environment, count);
  const index = environment['JOB_COMPLETION_INDEX'];
  if (index === undefined)
    throw refused(
      'neither SLURM_ARRAY_TASK_ID (a Slurm array) nor JOB_COMPLETION_INDEX (a Kubernetes Indexed Job) is set; ' +
        'give `shard: i/n`',
    );
  if (count === undefined)
    throw refused("Kubernetes does not say how many there are; give `shard: auto/n` with the job's completions");
  return shardAt(wholeOf('JOB_COMPLETION_INDEX', index) + 1, count, `JOB_COMPLETION_INDEX is ${index}`);
}

/** The task of an array: `--array=0-9`, `--array=1-128` or `--array=0-30:10`. */
function ofSlurm(environment: Environment, wanted: number | undefined): Shard {
  const of = (name: string, usual?: number): number => {
    const value = environment[`SLURM_ARRAY_TASK_${name}`];
    return value === undefined && usual !== undefined ? usual : wholeOf(`SLURM_ARRAY_TASK_${name}`, value ?? '');
  };
  const id = of('ID'),
    first = of('MIN', 1),
    last = of('MAX', wanted),
    step = Math.max(1, of('STEP', 1));
  const range = Math.floor((last - first) / step) + 1;
  const count = of('COUNT', range);
  const isWhole = count === range && (id - first) % step === 0;
  if (isWhole && (wanted === undefined || wanted === count))
    return shardAt((id - first) / step + 1, count, `the task is ${id}, of ${first} to ${last}`);
  // Some tasks of an array again: they are known by their numbers.
  if (wanted !== undefined && id >= 1) return shardAt(id, wanted, `the task is ${id}`);
  throw refused(
    wanted === undefined
      ? `the array has ${count} tasks from ${first} to ${last}, so it is part of another; give \`shard: auto/n\` ` +
          'with the number of all shards, and tasks numbered from 1'
      : `task 0 of an array of ${count} is no shard of ${wanted}; number the tasks from 1`,
  );
}

function shardAt(index: number, count: number, said: string): Shard {
  if (index >= 1 && index <= count) return { index, count };
  throw refused(`${said}, and there is no shard ${index} of ${count}`);
}

function wholeOf(name: string, text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw refused(`${name} is ${JSON.stringify(text)}, not a whole number; give \`shard: i/n\``);
}

const refused = (message: string): PupilError =>
  new PupilError('usage', `\`shard: auto\`: ${message}`, { option: 'shard' });

/**
 * Where a shard's part of `count` items begins and ends (not in it). Fewer than `least` are not divided:
 * the first shard does all.
 */
export function partOf(count: number, { index, count: shards }: Shard, least = 1): readonly [from: number, to: number] {
  if (count < least) return index === 1 ? [0, count] : [count, count];
  const at = (i: number): number => Math.floor((i * count) / shards);
  return [at(index - 1), at(index)];
}
