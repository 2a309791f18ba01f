/** What is told of a run: from what its process says, and from its files. */
import type { ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Metrics } from '../artifact/formats.js';
import { runFiles } from '../artifact/run-files.js';
import { wilson } from '../evaluate/metrics.js';
import type { ChildEvent, ChildRequest } from './child.js';
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
  began: number;
  training: { index: number; count: number };
  steps: { done: number; total: number };
  /** Seconds that the plan expects, of a ladder. */
  expected?: number;
  readonly notes: string[];
  readonly curve: Point[];
  /** Who waits for a picture of a batch. */
  wishes?: ((picture: Uint8Array) => void)[];
}

/** Takes in what the process of a training says. */
export function hear(run: Live, event: ChildEvent): void {
  if (event.type === 'note') run.notes.push(event.message);
  else if (event.type === 'training') run.training = { index: event.index, count: event.count };
  else if (event.type === 'steps') run.steps = { done: event.done, total: event.total ?? run.steps.total };
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

export async function summarize(name: string, path: string, run: Live | undefined): Promise<RunSummary> {
  const config = await runFiles.config.read(path).catch(() => undefined);
  const result = (await runFiles.result.read(path).catch(() => undefined)) as
    { readonly val?: Metrics; readonly test?: Metrics } | undefined;
  const measured = result?.test ?? result?.val;
  const isGoing = run?.state === 'running' || run?.state === 'stopping';
  return {
    name,
    command: run?.request.command ?? config?.command ?? 'train',
    state: run?.state ?? (result === undefined ? 'stopped' : 'finished'),
    message: run?.message,
    done: result !== undefined ? 1 : run === undefined ? 0 : shareOf(run),
    left: isGoing ? leftOf(run) : undefined,
    accuracy: measured?.top1,
    interval: measured && wilson(measured.top1, measured.count),
    measuredOn: measured && `${measured.count} ${result?.test === undefined ? 'held-out' : 'test'} images`,
  };
}

const secondsOf = ({ began }: Live): number => (performance.now() - began) / 1000;

function shareOf(run: Live): number {
  if (run.state === 'waiting') return 0;
  if (run.expected !== undefined) return Math.min(0.99, secondsOf(run) / Math.max(1, run.expected));
  const { index, count } = run.training;
  return Math.min(0.99, (index + (run.steps.total > 0 ? run.steps.done / run.steps.total : 0)) / count);
}

function leftOf(run: Live): number | undefined {
  if (run.expected !== undefined) return Math.max(1, run.expected - secondsOf(run));
  const share = shareOf(run);
  return share > 0.02 ? (secondsOf(run) * (1 - share)) / share : undefined;
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
    notes: live?.notes ?? [],
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
