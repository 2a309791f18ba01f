import { join } from 'node:path';
import { SharedPart, type Entry } from '../artifact/shared-folder.js';
import { counted } from '../data/dataset.js';
import { alone } from '../parallel/ranks.js';
import { float32, type Tensor } from '../tensor.js';
import { averagingOverRanks, changedBy, type Averaging, type Stretch, type Sums } from '../train/averaging.js';
import type { FitPosition } from '../train/events.js';
import type { TrainingStep } from '../train/step.js';
import type { DescentOptions } from './descent.js';
import type { RunEvent } from './events.js';
import type { Sharing } from './share.js';

/** What a part of a training, such as a phase, consists of. */
interface PartOptions {
  /** Its name in the folder. */
  readonly part: string;
  readonly epochs: number;
  readonly stepsPerEpoch: number;
  /** Steps that a machine makes by itself. */
  readonly every: number;
}

/** A phase that begins or goes on. */
interface Beginning {
  readonly index: number;
  readonly epochs: number;
  readonly stepsPerEpoch: number;
  readonly step: TrainingStep;
  /** What it begins with; undefined: the step's own. */
  readonly state: ReadonlyMap<string, Tensor> | undefined;
  readonly position: FitPosition | undefined;
}

/** How a phase averages over ranks or machines, if it does, and the state to begin with: it may be that of others. */
export async function* beginAveraging(
  {
    settings: { averageEvery: every },
    ranks = alone,
    sharing,
    part = 'all',
  }: Pick<DescentOptions, 'settings' | 'ranks' | 'sharing' | 'part'>,
  { index, step, state, position, ...phase }: Beginning,
): AsyncGenerator<RunEvent, { averaging: Averaging | undefined; state: Beginning['state'] }, undefined> {
  if (every === undefined || (!sharing && ranks.size === 1)) return { averaging: undefined, state };
  if (!sharing) return { averaging: averagingOverRanks(ranks, every), state };
  const averaging = new SharedAveraging(sharing, { ...phase, part: `${part}-${index + 1}`, every });
  const own = changedBy(step).map((name) => [name, state?.get(name) ?? step.initialState.get(name)!] as const);
  const joined = await averaging.join(new Map(own), position);
  const after = `after step ${joined.step} of ${phase.epochs * phase.stepsPerEpoch}`;
  const weights = joined.machines > 0 ? `the average of ${counted(joined.machines, 'machine')}` : 'its own weights';
  yield { type: 'note', message: `takes part in the training in ${sharing.folder} with ${weights}, ${after}` };
  return { averaging, state: new Map([...(state ?? []), ...joined.state]) };
}

/** Where the part begins on this machine. */
interface Joined {
  /** Those whose average it is; 0: it is what the machine had. */
  readonly machines: number;
  /** Steps of the part that were made before, by all machines. */
  readonly step: number;
  readonly state: ReadonlyMap<string, Tensor>;
}

/**
 * The average of machines through a folder. A machine takes on the next stretch of steps that none has, makes it from
 * its own average on, puts its weights into the folder and averages them with what is new there. So all machines
 * together make the steps of one training; what one of them took on and did not finish is left out.
 *
 * The weights of another machine count by the steps that it has made since the two were averaged last, divided by the
 * own steps since then, as clients count by their data in federated averaging (McMahan et al. 2017): those of equally
 * fast machines count alike, and what a slow one made from older weights counts less. What a machine that has gone
 * left never changes, and is taken once.
 */
export class SharedAveraging implements Averaging {
  readonly #part: SharedPart;
  readonly #options: PartOptions;
  /** Stretches of an epoch. */
  readonly #perEpoch: number;
  /** The stretch under way, and the first step of it that is to be made. */
  #current: { readonly number: number; readonly from: number } | undefined;
  /** What this machine did last before it was stopped. */
  #before: { readonly stretch: number; readonly position: FitPosition | undefined } | undefined;
  /** Steps that this machine has made, and those at its last average. */
  #made = 0;
  #averagedAt = 0;
  /** By machine: its steps and the own ones when they were averaged last. */
  readonly #met = new Map<string, { readonly theirs: number; readonly own: number }>();
  readonly #averagedWith = new Set<string>();

  constructor({ folder, machine, training }: Sharing, options: PartOptions) {
    this.#part = new SharedPart(join(folder, options.part), machine, training);
    this.#options = options;
    this.#perEpoch = Math.ceil(options.stepsPerEpoch / options.every);
  }

  /** What came of it, in words. */
  get summary(): string {
    const others = this.#averagedWith.size;
    return others > 0 ? `averaged with ${counted(others, 'other machine')}` : 'no other machine trained meanwhile';
  }

  /**
   * Begins: with the average of the machines that have come furthest where they are further than `position`, else with
   * `own`, the state there.
   */
  async join(own: ReadonlyMap<string, Tensor>, position: FitPosition | undefined): Promise<Joined> {
    const entries = await this.#part.entries();
    const mine = entries.find(({ machine }) => machine === this.#part.machine);
    const furthest = Math.max(-1, ...entries.map(({ stretch }) => stretch));
    const stretch = mine?.stretch ?? -1;
    this.#made = this.#averagedAt = mine?.steps ?? 0;
    for (const { machine, steps } of entries) this.#met.set(machine, { theirs: steps, own: this.#made });
    if (furthest + 1 > this.#stretchesBefore(position)) {
      // A machine that went long ago is far behind.
      const latest = entries.filter((entry) => entry.stretch > furthest - entries.length);
      const { state, taken } = await this.#mean(own, 0, new Map(latest.map((entry) => [entry, 1])));
      this.#before = { stretch, position: undefined };
      if (taken.length > 0) return { machines: taken.length, step: this.#stepsBefore(furthest + 1), state };
    }
    this.#before = { stretch, position };
    return { machines: 0, step: position?.step ?? 0, state: own };
  }

  async next(position: FitPosition): Promise<Stretch | undefined> {
    this.#current ??= (await this.#unfinished()) ?? (await this.#take(position));
    if (!this.#current) return undefined;
    const { number, from } = this.#current;
    const { every, stepsPerEpoch } = this.#options;
    const first = (number % this.#perEpoch) * every;
    return {
      epoch: Math.floor(number / this.#perEpoch),
      from: Math.max(first, from),
      to: Math.min(first + every, stepsPerEpoch),
    };
  }

  async average(
    state: ReadonlyMap<string, Tensor>,
    { steps, ...sums }: Sums & { readonly steps: number },
  ): Promise<Sums> {
    this.#made += steps;
    await this.#part.put(state, { stretch: this.#current!.number, steps: this.#made });
    this.#current = undefined;
    const weights = new Map<Entry, number>();
    for (const entry of await this.#part.entries()) {
      // One that was not here at the last average has come since.
      const { theirs, own } = this.#met.get(entry.machine) ?? { theirs: 0, own: this.#averagedAt };
      if (entry.machine !== this.#part.machine && entry.steps > theirs)
        weights.set(entry, (entry.steps - theirs) / (this.#made - own));
    }
    const mean = await this.#mean(state, 1, weights);
    for (const [name, { data }] of mean.state) (state.get(name)!.data as Float32Array).set(data as Float32Array);
    for (const { machine, steps: theirs } of mean.taken) {
      this.#met.set(machine, { theirs, own: this.#made });
      this.#averagedWith.add(machine);
    }
    this.#averagedAt = this.#made;
    return sums;
  }

  /** The stretch that this machine had taken on before it was stopped, unless others have gone on since. */
  async #unfinished(): Promise<{ number: number; from: number } | undefined> {
    const before = this.#before;
    this.#before = undefined;
    if (!before) return undefined;
    const number = await this.#part.lastTaken();
    if (number <= before.stretch || (await this.#part.takenBy(number)) !== this.#part.machine) return undefined;
    const isWithin = Math.floor(this.#stretchesBefore(before.position)) === number;
    return { number, from: isWithin ? before.position!.stepInEpoch : 0 };
  }

  /** The next stretch that no machine has taken on. */
  async #take(position: FitPosition): Promise<{ number: number; from: number } | undefined> {
    const first = Math.max((await this.#part.lastTaken()) + 1, Math.ceil(this.#stretchesBefore(position)));
    for (let number = first; number < this.#perEpoch * this.#options.epochs; number++)
      if (await this.#part.take(number)) return { number, from: 0 };
    return undefined;
  }

  /** Stretches that lie before a position; of one within a stretch, a share of this. */
  #stretchesBefore(position: FitPosition | undefined): number {
    if (!position) return 0;
    const { epoch, stepInEpoch } = position;
    const { every, stepsPerEpoch } = this.#options;
    return (epoch + Number(stepInEpoch === stepsPerEpoch)) * this.#perEpoch + (stepInEpoch % stepsPerEpoch) / every;
  }

  /** Steps that lie before a stretch. */
  #stepsBefore(stretch: number): number {
    const { every, stepsPerEpoch } = this.#options;
    return Math.floor(stretch / this.#perEpoch) * stepsPerEpoch + (stretch % this.#perEpoch) * every;
  }

  /** The mean of the own state and of those of others that can be read, by their weights. */
  async #mean(
    own: ReadonlyMap<string, Tensor>,
    weight: number,
    others: ReadonlyMap<Entry, number>,
  ): Promise<{ readonly state: ReadonlyMap<string, Tensor>; readonly taken: readonly Entry[] }> {
    const sums = new Map(
      [...own].map(([name, { data }]) => [name, (data as Float32Array).map((value) => weight * value)] as const),
    );
    const taken: Entry[] = [];
    let total = weight;
    for (const [entry, share] of others) {
      const tensors = await this.#part.read(entry, own);
      if (!tensors) continue;
      for (const [name, sum] of sums) {
        const data = tensors.get(name)!.data as Float32Array;
        for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + share * data[i]!;
      }
      taken.push(entry);
      total += share;
    }
    const state = [...own].map(
      ([name, { dims }]) =>
        [
          name,
          float32(
            dims,
            sums.get(name)!.map((value) => value / total),
          ),
        ] as const,
    );
    return { state: new Map(state), taken };
  }
}
