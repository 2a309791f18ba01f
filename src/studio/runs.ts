/** The runs of a folder, in `.pupil/runs`: each in a process of its own, one after the other. */
import { fork, type ChildProcess } from 'node:child_process';
import { readFile, readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { spreadsheet } from '../artifact/csv.js';
import { makeFolder, writeFileAtomically } from '../artifact/files.js';
import type { Metrics } from '../artifact/formats.js';
import { runFiles } from '../artifact/run-files.js';
import { PupilError } from '../errors.js';
import type { Picture } from '../evaluate/load.js';
import type { Classifier } from '../evaluate/classifier.js';
import { wilson } from '../evaluate/metrics.js';
import { requireModel, type StudioAssistant } from './assistant.js';
import type { Bus } from './bus.js';
import type { ChildEvent, ChildRequest } from './child.js';
import type { Images } from './folder.js';
import { checkedOptions } from './forms.js';
import { studioFolder, type LabelStore } from './labels.js';
import type { Prediction, RunDetail, RunRequest, RunState, RunSummary } from './protocol.js';

export interface Runs {
  list(): Promise<RunSummary[]>;
  start(request: RunRequest): Promise<RunSummary>;
  stop(name: string): Promise<RunSummary>;
  resume(name: string): Promise<RunSummary>;
  detail(name: string): Promise<RunDetail>;
  file(name: string, file: string): Promise<{ readonly bytes: Uint8Array; readonly type: string }>;
  predict(name: string, bytes: Uint8Array): Promise<Prediction>;
  /** Stops what runs, its state saved. */
  close(): Promise<void>;
}

export interface RunsOptions {
  readonly folder: string | undefined;
  /** A run elsewhere. */
  readonly run: string | undefined;
  readonly images: Images;
  readonly labels: LabelStore;
  readonly assistant: StudioAssistant;
  readonly bus: Bus;
}

/** Files of a run that a page may have. */
const files: Readonly<Record<string, string>> = {
  'report.html': 'text/html; charset=utf-8',
  'model.onnx': 'application/octet-stream',
  'model-card.md': 'text/markdown; charset=utf-8',
};

type Point = { readonly epoch: number; readonly trainLoss: number; val: number | null };

/** A run that was begun or gone on with since the studio was opened. */
interface Live {
  readonly request: ChildRequest;
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
}

export async function openRuns(options: RunsOptions): Promise<Runs> {
  const { folder, run: elsewhere, bus } = options;
  const root = resolve(folder ?? '.', studioFolder, 'runs');
  const outside = elsewhere === undefined ? undefined : resolve(elsewhere);
  if (outside !== undefined && !(await runFiles.model.exists(outside)))
    throw new PupilError('not-found', `${elsewhere!}: not a finished run; give a run folder with a model.onnx`);
  const live = new Map<string, Live>();
  const queue: string[] = [];
  let predictor: { readonly path: string; readonly classifier: Promise<Classifier<Picture>> } | undefined;
  let isClosed = false;

  const names = async (): Promise<string[]> => {
    const entries = folder === undefined ? [] : await readdir(root, { withFileTypes: true }).catch(() => []);
    const below = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    return [...new Set([...(outside === undefined ? [] : [basename(outside)]), ...below, ...live.keys()])];
  };
  /** The folder of a run that is listed: a name never becomes a path by itself. */
  const pathOf = async (name: string): Promise<string> => {
    if (!(await names()).includes(name)) throw new PupilError('not-found', 'there is no run of that name');
    return outside !== undefined && name === basename(outside) ? outside : join(root, name);
  };
  const summary = async (name: string): Promise<RunSummary> => summarize(name, await pathOf(name), live.get(name));
  const tell = (name: string): void =>
    void summary(name).then(
      (run) => bus.send({ type: 'run', run }),
      () => undefined,
    );

  const pump = (): void => {
    const isBusy = [...live.values()].some(({ process }) => process !== undefined);
    const name = isBusy || isClosed ? undefined : queue.shift();
    if (name !== undefined) begin(name, live.get(name)!);
  };
  const begin = (name: string, run: Live): void => {
    const child = fork(new URL('./run-child.js', import.meta.url), { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    Object.assign(run, { process: child, state: 'running', began: performance.now() });
    child.on('message', (event: ChildEvent) => {
      hear(run, event);
      if (event.type === 'plan') void planned(join(root, name), run).then(() => tell(name));
      else tell(name);
    });
    run.ended = new Promise((over) => {
      const end = (): void => {
        if (run.process === undefined) return;
        delete run.process;
        if (run.state === 'running' || run.state === 'stopping') {
          run.message = 'the process of the training ended; what was saved is kept, resume it';
          run.state = 'failed';
        }
        tell(name);
        over();
        pump();
      };
      child.once('exit', end);
      child.once('error', end);
    });
    child.send(run.request);
    tell(name);
  };
  const enqueue = (name: string, request: ChildRequest): Promise<RunSummary> => {
    const idle = { training: { index: 0, count: 1 }, steps: { done: 0, total: 0 }, notes: [], curve: [] };
    live.set(name, { request, state: 'waiting', began: performance.now(), ...idle });
    queue.push(name);
    pump();
    return summary(name);
  };

  return {
    async list() {
      const all = await Promise.all(
        (await names()).map(async (name) => ({ name, at: await timeOf(await pathOf(name)) })),
      );
      return Promise.all(all.sort((a, b) => b.at - a.at).map(({ name }) => summary(name)));
    },
    async start({ command, options: told }) {
      if (folder === undefined) throw new PupilError('usage', 'no folder of images is open');
      const checked = checkedOptions(command, told);
      const isScratch = checked['mode'] === 'scratch';
      const known = new Set(await names());
      let n = 1;
      while (known.has(`${command}-${n}`)) n++;
      const name = `${command}-${n}`;
      const request: ChildRequest = {
        command,
        data: await snapshot(folder, name, options),
        options: {
          ...checked,
          model: isScratch ? undefined : requireModel(options.assistant),
          out: join(root, name),
          featureCache: join(resolve(folder), studioFolder, 'features'),
        },
      };
      return enqueue(name, request);
    },
    async stop(name) {
      await pathOf(name);
      const run = live.get(name);
      if (run?.state === 'waiting') {
        queue.splice(queue.indexOf(name), 1);
        run.state = 'stopped';
      } else if (run?.process !== undefined) {
        run.state = 'stopping';
        run.process.send('stop');
      }
      tell(name);
      return summary(name);
    },
    async resume(name) {
      const path = await pathOf(name);
      const before = live.get(name);
      if (before?.process !== undefined || before?.state === 'waiting') return summary(name);
      const config = await runFiles.config.read(path).catch(() => undefined);
      if (config === undefined && before !== undefined) return enqueue(name, before.request);
      const command = config?.command;
      if (path === outside || (command !== 'learn' && command !== 'train') || (await runFiles.result.exists(path)))
        throw new PupilError('usage', 'this run cannot be gone on with');
      return enqueue(name, { command, data: undefined, options: { resume: path } });
    },
    detail: async (name) => detailOf(await summary(name), await pathOf(name), live.get(name)),
    async file(name, file) {
      const path = await pathOf(name);
      const type = Object.hasOwn(files, file) ? files[file] : undefined;
      if (type === undefined) throw new PupilError('not-found', 'a run has no such file');
      const bytes = await readFile(join(path, file)).catch(() => {
        throw new PupilError('not-found', 'the run has not written it yet');
      });
      return { bytes, type };
    },
    async predict(name, bytes) {
      const path = await pathOf(name);
      if (predictor?.path !== path) {
        const last = predictor;
        predictor = { path, classifier: import('../evaluate/load.js').then(({ loadModel }) => loadModel(path)) };
        predictor.classifier.catch(() => (predictor = undefined));
        void last?.classifier.then((classifier) => classifier.close()).catch(() => undefined);
      }
      const { label, none, probabilities } = await (await predictor.classifier).predict(bytes);
      return {
        label: none ? null : label,
        probabilities: Object.entries(probabilities)
          .map(([of, probability]) => ({ label: of, probability }))
          .sort((a, b) => b.probability - a.probability),
      };
    },
    async close() {
      isClosed = true;
      const running = [...live.values()].filter(({ process }) => process !== undefined);
      for (const { process } of running) process?.send('stop');
      for (const { ended } of running) await ended;
      await predictor?.classifier.then((classifier) => classifier.close()).catch(() => undefined);
    },
  };
}

/** The labels of now as a list of their own: a training that is resumed finds them as they were. */
async function snapshot(folder: string, name: string, { images, labels }: RunsOptions): Promise<string> {
  const file = join(resolve(folder), studioFolder, 'data', `${name}.csv`);
  const rows = images.paths.flatMap((path, id) =>
    labels.isSkipped(id) ? [] : [[`../../${path}`, labels.labelOf(id) ?? '']],
  );
  await makeFolder(join(resolve(folder), studioFolder, 'data'));
  await writeFileAtomically(file, spreadsheet([['path', 'label'], ...rows]));
  return file;
}

const timeOf = async (path: string): Promise<number> =>
  (await stat(path).catch(() => undefined))?.birthtimeMs ?? Infinity;

async function planned(path: string, run: Live): Promise<void> {
  const plan = await runFiles.plan.read(path).catch(() => undefined);
  if (plan === undefined) return;
  run.expected = plan.rungs.reduce(
    (sum, { expectedSeconds, skip }) => sum + (skip === undefined ? expectedSeconds : 0),
    0,
  );
}

function hear(run: Live, event: ChildEvent): void {
  if (event.type === 'note') run.notes.push(event.message);
  else if (event.type === 'training') run.training = { index: event.index, count: event.count };
  else if (event.type === 'steps') run.steps = { done: event.done, total: event.total ?? run.steps.total };
  else if (event.type === 'epoch') run.curve.push({ epoch: event.epoch, trainLoss: event.loss, val: null });
  else if (event.type === 'evaluation') {
    const last = run.curve.at(-1);
    if (last !== undefined) last.val = event.top1;
  } else if (event.type === 'end') {
    run.state = event.state;
    if (event.state === 'failed') run.message = event.message;
  }
}

async function summarize(name: string, path: string, run: Live | undefined): Promise<RunSummary> {
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

async function detailOf(run: RunSummary, path: string, live: Live | undefined): Promise<RunDetail> {
  const ladder = await runFiles.ladder.read(path).catch(() => undefined);
  return {
    ...run,
    stages: (ladder?.rungs ?? []).map(({ name, selection, kept, skipped }) => ({
      name,
      accuracy: selection?.top1 ?? null,
      kept: skipped === true ? null : kept,
    })),
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
