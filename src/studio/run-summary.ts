/** What is told of a run: from what its process says, and from its files. */
import type { ChildProcess } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Metrics, Rung } from '../artifact/formats.js';
import { runFiles } from '../artifact/run-files.js';
import { independentOf, wilson } from '../evaluate/metrics.js';
import { originsOf } from '../models/licence.js';
import { easierThanOthers } from '../report/evaluation.js';
import type { ChildEvent, ChildRequest } from './child.js';
import type { Course } from './course.js';
import { asShown } from './paths.js';
import type { RunDetail, RunRequest, RunState, RunSummary } from './protocol.js';
import { pseudoRounds } from './pseudo-rounds.js';
import { stagesOf } from './stages.js';

export type Point = {
  readonly epoch: number;
  readonly trainLoss: number;
  val: number | null;
};

/** A run that was begun or gone on with since the studio was opened. */
export interface Live {
  readonly request: ChildRequest;
  /** What the person asked for. */
  readonly asked?: RunRequest | undefined;
  state: RunState;
  message?: string;
  process?: ChildProcess;
  ended?: Promise<void>;
  /** Of the session that is under way, or was last. */
  course: Course;
  /** Of a ladder: what earlier sessions tried, and how long they took of the time for all. Seconds. */
  ladder?: { readonly before: readonly Rung[]; readonly used: number; readonly budget: number };
  readonly notes: string[];
  readonly curve: Point[];
  /** Who waits for a picture of a batch. */
  wishes?: ((picture: Uint8Array) => void)[];
}

/** The clock of courses. */
export const seconds = (): number => performance.now() / 1000;

/** Takes in what the process of a training says. */
export function hear(run: Live, event: ChildEvent): void {
  run.course.hear(event, seconds());
  if (event.type === 'note') run.notes.push(event.message);
  else if (event.type === 'epoch') run.curve.push({ epoch: event.epoch, trainLoss: event.loss, val: null });
  else if (event.type === 'evaluation') {
    const last = run.curve.at(-1);
    if (last !== undefined) last.val = event.top1;
  } else if (event.type === 'batch') {
    const picture = Buffer.from(event.png, 'base64');
    for (const give of run.wishes ?? []) give(picture);
  } else if (event.type === 'end') {
    run.state = event.state;
    if (event.state === 'failed') run.message = event.message;
  }
}

/** A text that changes whenever the model of a run does; undefined where there is none. */
export async function versionOf(run: string): Promise<string | undefined> {
  const { mtimeMs, size } = (await stat(runFiles.model.in(run)).catch(() => undefined)) ?? {};
  return mtimeMs === undefined ? undefined : `${mtimeMs}-${size}`;
}

export async function summarize(name: string, path: string, run: Live | undefined): Promise<RunSummary> {
  const config = await runFiles.config.read(path).catch(() => undefined);
  const result = (await runFiles.result.read(path).catch(() => undefined)) as
    { readonly val?: Metrics; readonly test?: Metrics } | undefined;
  const measured = result?.test ?? result?.val;
  // Where images were chosen to be labelled, those drawn at random tell what to expect.
  const fair = measured?.drawn ?? measured;
  const isGoing = run?.state === 'running' || run?.state === 'stopping';
  return {
    name,
    command: run?.request.command ?? config?.command ?? 'train',
    state: run?.state ?? (result === undefined ? 'stopped' : 'finished'),
    message: run?.message === undefined ? undefined : asShown(run.message, path),
    done: result !== undefined ? 1 : run === undefined || run.state === 'waiting' ? 0 : run.course.done(seconds()),
    left: isGoing ? run.course.left(seconds()) : undefined,
    accuracy: fair?.top1,
    interval: fair && wilson(fair.top1, independentOf(fair)),
    measuredOn:
      fair &&
      `${fair.count} ${kindOf(result, config?.settings)} images` +
        (fair === measured ? '' : ' that were drawn at random'),
    ofAll: measured && fair !== measured ? { accuracy: measured.top1, images: measured.count } : undefined,
    easier: measured && easierThanOthers(measured),
    origins: config && originsOf(config),
    model: await versionOf(path),
  };
}

/** What the images of a result are: those of val/ where it was only reported on. */
const kindOf = (result: { readonly test?: Metrics } | undefined, settings: unknown): string => {
  if (result?.test !== undefined) return 'test';
  return (settings as { readonly reportOn?: unknown } | undefined)?.reportOn === 'val' ? 'validation' : 'held-out';
};

/** Reads how far a ladder is; `isNew`: a rung of it has ended. What is no ladder has none. */
export async function readLadder(path: string, run: Live, isNew: boolean): Promise<void> {
  const plan = await runFiles.plan.read(path).catch(() => undefined);
  if (plan === undefined) return;
  const {
    rungs = [],
    seconds: used = 0,
    budgetMinutes,
  } = (await runFiles.ladder.read(path).catch(() => undefined)) ?? {};
  if (!isNew) {
    const { minutes } = ((await runFiles.config.read(path).catch(() => undefined))?.settings ?? {}) as {
      readonly minutes?: number;
    };
    const given = [minutes, budgetMinutes].filter((one) => one !== undefined);
    // What ran out of time is gone on with.
    run.ladder = {
      before: rungs.filter(({ skipped }) => skipped !== true),
      used,
      budget: given.length === 0 ? Infinity : 60 * Math.max(...given),
    };
  }
  const { before = [], ...time } = run.ladder ?? { used: 0, budget: Infinity };
  const known = new Set(rungs.map(({ name }) => name));
  const tried = isNew ? [...rungs, ...before.filter(({ name }) => !known.has(name))] : before;
  run.course.climb({ plan, tried, ...time }, isNew, seconds());
}

/** `idOf`: the number of an image in the studio, from what the run calls it. */
export async function detailOf(
  run: RunSummary,
  path: string,
  live: Live | undefined,
  idOf: (path: string) => number | undefined,
): Promise<RunDetail> {
  const ladder = await runFiles.ladder.read(path).catch(() => undefined);
  const plan = await runFiles.plan.read(path).catch(() => undefined);
  const labels = await runFiles.pseudoLabels.read(path).catch(() => undefined);
  return {
    ...run,
    stages: stagesOf(ladder, plan, run.state === 'running' || run.state === 'stopping'),
    pseudoLabels: pseudoRounds(labels, idOf),
    hasPreview: await runFiles.preview.exists(path),
    curve: live?.curve.length ? live.curve : await curveIn(join(path, 'metrics.jsonl')),
    notes: (live?.notes ?? []).map((note) => asShown(note, path)),
  };
}

async function curveIn(file: string): Promise<RunDetail['curve']> {
  const points: Point[] = [];
  for (const line of (await readFile(file, 'utf8').catch(() => '')).split('\n')) {
    if (line === '') continue;
    try {
      const { type, epoch, train, selection } = JSON.parse(line) as {
        readonly type: string;
        readonly epoch: number;
        readonly train?: { readonly loss: number };
        readonly selection?: { readonly top1?: number };
      };
      if (type === 'epoch' && train !== undefined) points.push({ epoch, trainLoss: train.loss, val: null });
      const last = points.at(-1);
      if (type === 'evaluation' && last !== undefined) last.val = selection?.top1 ?? null;
    } catch {
      // a line that was not finished
    }
  }
  return points;
}
