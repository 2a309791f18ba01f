/**
 * One training by several processes: the first leads, which alone opens the run folder, chooses and measures; the
 * others are told what it settled, and take their part of every batch.
 */
import { counted } from '../data/dataset.js';
import { hashOfFiles } from '../data/dataset-hash.js';
import type { Dataset } from '../data/sample.js';
import type { RanOn } from '../engine/index.js';
import { PupilError } from '../errors.js';
import { isFrozen } from '../options/option.js';
import { joinRanks } from '../parallel/join.js';
import type { Ranks } from '../parallel/ranks.js';
import { countOf, type Technique } from '../techniques/technique.js';
import { version } from '../version.js';
import type { DescentOptions, Resumed } from './descent.js';
import type { RunEvent, TrainResult } from './events.js';
import type { FixedSettings } from './phases.js';
import type { Settings } from './resolve.js';

/** What the first rank has settled before anything is decoded. */
interface Announced {
  readonly settings: Settings;
  readonly ranOn: RanOn;
  readonly hash: string;
  readonly filesHash: string;
}

/** What the others are to do next: a training by descent, or to end. */
type Order =
  | {
      readonly settings: FixedSettings;
      readonly learnFrom: readonly number[];
      readonly selectOn: readonly number[];
      readonly resumed: Omit<Resumed, 'tensors'> | undefined;
    }
  | { readonly result: TrainResult };

/** The ranks started with this process, all with the same command. Throws `usage` on all where one was not. */
export async function joinAlike(command: string, told: object, signal: AbortSignal): Promise<Ranks> {
  const ranks = await joinRanks(signal);
  try {
    await assertSame(ranks, command, told);
  } catch (error) {
    return await ranks.fail(error);
  }
  return ranks;
}

async function assertSame(ranks: Ranks, command: string, told: object): Promise<void> {
  if (ranks.size === 1) return;
  const own = { version, command, options: spell({ ...told, signal: undefined }) };
  const first = await ranks.share(own);
  const refuse = (what: string, here: string, there: string): PupilError =>
    new PupilError('usage', `${what} is ${here} here, that of rank 0 is ${there}; start all ranks alike`);
  for (const what of ['version', 'command'] as const)
    if (first[what] !== own[what]) throw refuse(`the ${what}`, own[what], first[what]);
  for (const name of Object.keys({ ...first.options, ...own.options })) {
    const [here = 'not given', there = 'not given'] = [own.options[name], first.options[name]];
    if (here !== there) throw refuse(`\`${name}\``, here, there);
  }
}

/** Options as JSON, each by itself; those that are not given are left out. */
const spell = (options: object): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(options).flatMap(([name, value]): [string, string][] => {
      const spelled = JSON.stringify(value) as string | undefined;
      return spelled === undefined ? [] : [[name, spelled]];
    }),
  );

/** What images and their names are known by. */
export const hashesOf = (dataset: Dataset): Pick<Announced, 'hash' | 'filesHash'> => ({
  hash: dataset.hash,
  filesHash: hashOfFiles(dataset),
});

/** Tells the others. */
export const announce = (ranks: Ranks, announced: Announced): Promise<unknown> => ranks.share(announced);

/** Hears what the first rank has settled. */
export const listen = (ranks: Ranks): Promise<Announced> => ranks.share<Announced>(undefined);

/** Waits until all have what they train on: one that lacks it ends all before there is a run. */
export const meetPrepared = (ranks: Ranks): Promise<unknown> => ranks.share(null);

/** Throws `bad-data` on ranks that see other images than the first. */
export function assertSameImages({ hash, filesHash }: ReturnType<typeof hashesOf>, dataset: Dataset): void {
  const own = hashesOf(dataset);
  if (own.hash !== hash || own.filesHash !== filesHash)
    throw new PupilError(
      'bad-data',
      `${dataset.path} holds other images here than for rank 0; give all ranks the same images at the same place`,
    );
}

/** Throws `usage` unless every rank gets the same number of images of every view. */
export function assertDivisible(
  { views }: Technique,
  { unlabelledRatio = 1 }: Pick<Settings, 'unlabelledRatio'>,
  batchSize: number,
  { size }: Ranks,
): void {
  const isCut = (parts: number): boolean =>
    views.every((view) => Number.isInteger(countOf(view, batchSize, unlabelledRatio) / parts));
  if (size === 1 || isCut(size)) return;
  const less = Math.floor(batchSize / size) * size;
  let fewer = size - 1;
  while (fewer > 1 && !isCut(fewer)) fewer--;
  throw new PupilError(
    'usage',
    `a batch of ${batchSize} images cannot be cut in ${size} equal parts, one for each rank; ` +
      (less > 0 ? `use \`batchSize: ${less}\`, or ` : '') +
      `start ${fewer > 1 ? counted(fewer, 'rank') : 'one process'}`,
    { option: 'batchSize' },
  );
}

/** What a person is told of those that train together, or of options for several where one trains. */
export const sayOfRanks = (ranks: Ranks, settings: Settings): RunEvent[] =>
  ranks.size > 1
    ? [{ type: 'note', message: describeRanks(ranks, settings) }]
    : uselessAlone(settings).map((message) => ({ type: 'warning', message }));

/** The same in the plan of a job of several trainings: what ranks share. */
export const planOfRanks = ({ size }: Ranks): string[] =>
  size > 1 ? [`ranks      ${size} share the steps of each training; the first does all else`] : [];

function describeRanks({ size }: Ranks, { mode, averageEvery }: Settings): string {
  if (isFrozen(mode)) return `mode ${mode} runs on the first of ${size} ranks; the others wait`;
  const averages =
    averageEvery === undefined ? '' : `, and averages its weights with the others' after every ${averageEvery} steps`;
  return `${size} ranks train together, each on its part of every batch${averages}`;
}

/** Options for several have no use. */
const uselessAlone = ({ syncBn, averageEvery, share }: Settings): string[] => [
  ...(syncBn === true
    ? ['`syncBn` changes nothing: one process sees the whole batch; start several with mpirun, or leave it out']
    : []),
  ...(averageEvery !== undefined && share === undefined
    ? [
        '`averageEvery` changes nothing: one process has no others to average its weights with; start several with ' +
          'mpirun, give `share`, or leave it out',
      ]
    : []),
];

/** The first rank begins a training by descent. */
export async function lead(
  ranks: Ranks,
  { settings, learnFrom, selectOn }: DescentOptions,
  resumed: Resumed | undefined,
): Promise<void> {
  const order: Order = {
    settings,
    learnFrom,
    selectOn,
    resumed: resumed && { position: resumed.position, path: resumed.path },
  };
  if (ranks.size > 1) await ranks.share(order);
}

/** The first rank has ended. */
export const tellResult = (ranks: Ranks, result: TrainResult): Promise<unknown> => ranks.share<Order>({ result });

/** What a rank that follows is told next. */
export const nextOrder = (ranks: Ranks): Promise<Order> => ranks.share<Order>(undefined);
