/** A smaller network is taught by the rung that is kept, and again where a later session keeps another one. */
import { join } from 'node:path';
import type { PlannedRung } from '../../artifact/formats.js';
import type { Run } from '../../artifact/run.js';
import { runFiles } from '../../artifact/run-files.js';
import { spelled } from '../../options/jobs.js';
import { ladder } from '../../options/recipes.js';
import type { StepsTime } from '../../runs/context.js';
import type { RunEvent } from '../../runs/events.js';
import type { TrainOptions } from '../../runs/resolve.js';
import type { Climb, Climber, LearnEvent } from './climber.js';
import { isUntaught, type Trained } from './judge.js';
import { describeLabels, labelsBy, teachSmaller } from './rounds.js';
import type { RungPlan } from './rungs.js';
import { isAsked, spare } from './time.js';

/** A student of a teacher, the first time and again. */
export interface Teaching {
  /** What a person reads: `distillation`, `distillation 2`. */
  readonly name: string;
  readonly what: string;
  readonly teacher: Trained | undefined;
  /** What it is measured against. */
  readonly below: Trained | undefined;
}

/**
 * Teaches a smaller network. One that a session before had taught by another rung, or had too little time for, stays in
 * the record, and a new one is taught by the rung that is kept now; one that was begun with another teacher is not gone
 * on with.
 */
export async function* climbSmaller(
  { chain }: Climb,
  climber: Climber,
  { name: first, what }: { readonly name: string; readonly what: string },
  attempt: (teaching: Teaching) => AsyncGenerator<LearnEvent, unknown, undefined>,
): AsyncGenerator<LearnEvent, void, undefined> {
  const below = climber.best(),
    possible = climber.all();
  for (let time = 1; ; time++) {
    const name = time === 1 ? first : `${first} ${time}`;
    const teacher = (await teacherBefore(chain.run, name, possible)) ?? below;
    const isOther = teacher !== below,
      isFinished = climber.isFinished(name);
    if (isOther && !isFinished) continue;
    yield* attempt({ name, what: time === 1 ? what : `the same, taught by ${teacher!.name}`, teacher, below });
    // With more time one is taught again that had too little.
    const one = climber.trained(name);
    if (!isOther && !(isFinished && one && isUntaught(one.stage))) return;
  }
}

/** The rung that has taught a student which was begun; undefined: none was, or it is none of these. */
async function teacherBefore(run: Run, name: string, possible: readonly Trained[]): Promise<Trained | undefined> {
  const folder = run.file(join('rungs', spelled(name)));
  for (const place of [join(folder, 'head'), join(folder, 'student'), folder]) {
    if (!(await runFiles.config.exists(place))) continue;
    const { teachers = [], pseudoLabels } = (await runFiles.config.read(place))!.settings as TrainOptions;
    const taughtBy = [...teachers, ...(pseudoLabels === undefined ? [] : [pseudoLabels])].map(rungIn);
    return possible.find((rung) => taughtBy.some((one) => namesOf(rung).includes(one!)));
  }
  return undefined;
}

/** The folder of the rung that a path of a run leads to: the run may have been moved since. */
const rungIn = (path: string): string | undefined => /^.*[\\/]rungs[\\/]([^\\/]+)/.exec(path)?.[1];

/** Folders in which a rung has its runs. */
const namesOf = ({ name }: Trained): readonly string[] => [spelled(name), `${spelled(name)}-in-folds`];

/** A student of a consensus: it learns its labels, and has none held out. */
export async function* teachByConsensus(
  { chain, situation, budget, elapsed }: Climb,
  { clock }: Climber,
  work: {
    readonly name: string;
    readonly teacher: Trained;
    readonly plan: PlannedRung;
    readonly row: RungPlan;
    readonly seconds: number | undefined;
  },
): AsyncGenerator<RunEvent, Trained, undefined> {
  const { name, teacher, plan, row, seconds } = work;
  const began = elapsed();
  // Two looks at the features of a network that is smaller than the one that was looked at before.
  const looks = clock.expected(plan.besideSeconds ?? 0);
  const minutes = seconds && Math.max(1, (1 - 2 * spare) * (seconds - looks)) / 60;
  // The last look takes at least as long as the first one did.
  const time = (head = 0): StepsTime | undefined => {
    const follows = Math.max(looks / 2, head);
    return seconds === undefined
      ? undefined
      : { left: () => began + (1 - spare) * seconds - elapsed() - follows, follows };
  };
  const student = situation.options.student!,
    { usual, most } = ladder.smallerTimes;
  const times = budget < Infinity && !isAsked(row, situation) ? most : usual;
  const { completed, ...stage } = yield* teachSmaller(chain, {
    name,
    folder: join('rungs', spelled(name)),
    student,
    best: teacher.stage,
    situation,
    minutes,
    time,
    times,
  });
  const { data } = chain.whole;
  const labels = describeLabels(data, await labelsBy(stage.run, data), await labelsBy(teacher.stage.run, data));
  // Of its usual steps, which are fewer than it may have.
  const share = completed && (completed * times) / usual;
  return {
    ...{ name, model: student, labels: { ...labels, teacher: name } },
    stage: share !== undefined && share < 1 ? { ...stage, completed: share } : stage,
  };
}
