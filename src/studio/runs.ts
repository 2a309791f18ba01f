/** The runs of a folder, in `.pupil/runs`: each in a process of its own, one after the other. */
import { fork } from 'node:child_process';
import { readFile, readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { spreadsheet } from '../artifact/csv.js';
import { makeFolder, writeFileAtomically } from '../artifact/files.js';
import { runFiles } from '../artifact/run-files.js';
import { randomColumn, randomMark, sourceColumn } from '../data/columns.js';
import { PupilError } from '../errors.js';
import type { ForeignOptions } from '../models/index.js';
import type { Picture } from '../evaluate/load.js';
import type { Classifier } from '../evaluate/classifier.js';
import { requireModel, type StudioAssistant } from './assistant.js';
import type { Bus } from './bus.js';
import type { ChildEvent, ChildRequest } from './child.js';
import { Course } from './course.js';
import type { Images } from './folder.js';
import { createForecasts } from './forecasts.js';
import { checkedOptions } from './forms.js';
import { readGoing, untilFree, writeGoing } from './going.js';
import { studioFolder, type LabelStore } from './labels.js';
import { idFinder, requireFolder } from './paths.js';
import type { Forecast, Prediction, RunDetail, RunRequest, RunSummary } from './protocol.js';
import { detailOf, hear, readLadder, seconds, summarize, versionOf, type Live } from './run-summary.js';

export interface Runs {
  list(): Promise<RunSummary[]>;
  start(request: RunRequest): Promise<RunSummary>;
  /** How long it would take; nothing is known of that while another one runs. Throws as `start` does. */
  forecast(request: RunRequest): Promise<Forecast>;
  stop(name: string): Promise<RunSummary>;
  resume(name: string): Promise<RunSummary>;
  detail(name: string): Promise<RunDetail>;
  file(name: string, file: string): Promise<{ readonly bytes: Uint8Array; readonly type: string }>;
  /** A PNG of the next batch that it learns from; undefined where none comes. */
  batch(name: string): Promise<Uint8Array | undefined>;
  predict(name: string, bytes: Uint8Array): Promise<Prediction>;
  /** The folder of a run that is listed: a name never becomes a path by itself. Throws `not-found`. */
  pathOf(name: string): Promise<string>;
  /**
   * Its folder, and a text that changes whenever its model does: a run that goes on from the command line writes
   * another one. Throws `not-found`, also as long as there is no model.
   */
  modelOf(name: string): Promise<RunModel>;
  /** Stops what runs, its state saved. */
  close(): Promise<void>;
}

export interface RunModel {
  readonly run: string;
  readonly version: string;
}

export interface RunsOptions {
  readonly folder: string | undefined;
  /** A run elsewhere. */
  readonly run: string | undefined;
  readonly images: Images;
  readonly labels: LabelStore;
  readonly assistant: StudioAssistant;
  /** Settles when the images were found and have their labels. */
  readonly attached: Promise<void>;
  /** How its network is read. */
  readonly foreign: ForeignOptions;
  readonly bus: Bus;
}

/** Windows that may wait for a picture of a batch, and milliseconds that they do. */
const mostWishes = 8,
  batchPatience = 20_000;

/** Files of a run that a page may have. */
const files: Readonly<Record<string, string>> = {
  'report.html': 'text/html; charset=utf-8',
  'model.onnx': 'application/octet-stream',
  'model-card.md': 'text/markdown; charset=utf-8',
  'preview.png': 'image/png',
};

export async function openRuns(options: RunsOptions): Promise<Runs> {
  const { run } = options;
  if (run !== undefined && !(await runFiles.model.exists(resolve(run))))
    throw new PupilError('not-found', `${run}: not a finished run; give a run folder with a model.onnx`);
  const runs = new FolderRuns(options);
  void runs.goOn().catch(() => undefined);
  return runs;
}

class FolderRuns implements Runs {
  readonly #options: RunsOptions;
  readonly #root: string;
  readonly #outside: string | undefined;
  readonly #live = new Map<string, Live>();
  readonly #queue: string[] = [];
  /** Names of runs that were under way when the studio ended. */
  readonly #reserved = new Set<string>();
  readonly #forecasts = createForecasts();
  #predictor:
    | {
        readonly key: string;
        readonly classifier: Promise<Classifier<Picture>>;
      }
    | undefined;
  #writing: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: RunsOptions) {
    this.#options = options;
    this.#root = resolve(options.folder ?? '.', studioFolder, 'runs');
    this.#outside = options.run === undefined ? undefined : resolve(options.run);
  }

  async list(): Promise<RunSummary[]> {
    const names = await this.#names();
    const all = await Promise.all(
      names.map(async (name) => ({
        name,
        at: await timeOf(await this.pathOf(name)),
      })),
    );
    return Promise.all(all.sort((a, b) => b.at - a.at).map(({ name }) => this.#summary(name)));
  }

  /** Goes on with what was under way when the studio ended, however it ended. */
  async goOn(): Promise<void> {
    const { folder, assistant, attached } = this.#options;
    if (folder === undefined) return;
    const all = await readGoing(folder);
    for (const { name } of all) this.#reserved.add(name);
    for (const { name, asked } of all) {
      const path = join(this.#root, name);
      const hasBegun = (): Promise<boolean> => runFiles.config.exists(path);
      // What waited, or had just begun, needs its images and its network.
      if (!(await hasBegun())) await Promise.all([attached, assistant.opened]);
      if (this.#isClosed) return;
      if (await hasBegun()) {
        await untilFree(path);
        if (this.#isClosed) return;
        await this.resume(name).catch(() => undefined);
      } else if (asked !== undefined) await this.#launch(name, asked).catch(() => undefined);
    }
  }

  async start(asked: RunRequest): Promise<RunSummary> {
    const { command } = asked;
    const { folder } = this.#requestOf(asked);
    const known = new Set([...(await this.#names()), ...this.#reserved]);
    let n = 1;
    while (known.has(`${command}-${n}`)) n++;
    const name = `${command}-${n}`;
    // One with that name may have been removed.
    await rm(listOf(folder, name), { force: true });
    return this.#launch(name, asked);
  }

  /** Starts it on the labels of now, or on those that were written down for it before. Throws as `start` does. */
  async #launch(name: string, asked: RunRequest): Promise<RunSummary> {
    const { folder, request } = this.#requestOf(asked);
    await requireFolder(folder);
    const out = join(this.#root, name);
    const list = listOf(folder, name);
    const isThere = (await stat(list).catch(() => undefined)) !== undefined;
    const data = isThere ? list : await snapshot(list, '../..', this.#options);
    // What is measured beside a training is wrong, and slows it down.
    await this.#forecasts.stop();
    return this.#enqueue(name, { ...request, data, options: { ...request.options, out } }, asked);
  }

  async forecast(asked: RunRequest): Promise<Forecast> {
    const { folder, request } = this.#requestOf(asked);
    const isBusy = [...this.#live.values()].some(({ state }) => state === 'waiting' || state === 'running');
    if (isBusy) return { seconds: null };
    const listIn = (place: string): Promise<string> =>
      snapshot(join(place, 'labels.csv'), resolve(folder), this.#options);
    const { labels, images } = this.#options;
    const key = `${labels.labels().version} ${images.paths.length}`;
    return { seconds: await this.#forecasts.of(request, key, listIn) };
  }

  /** What the process of a training is asked, but for its images and its folder. Throws `usage`. */
  #requestOf({ command, options: told }: RunRequest): {
    readonly folder: string;
    readonly request: Omit<ChildRequest, 'data'>;
  } {
    const { folder, assistant, foreign } = this.#options;
    const checked = checkedOptions(command, told);
    if (folder === undefined) throw new PupilError('usage', 'no folder of images is open');
    const model = checked['mode'] === 'scratch' ? undefined : requireModel(assistant);
    const featureCache = join(resolve(folder), studioFolder, 'features');
    const options = { ...(model === undefined ? {} : foreign), ...checked, model, featureCache };
    return { folder, request: { command, options } };
  }

  async stop(name: string): Promise<RunSummary> {
    await this.pathOf(name);
    const run = this.#live.get(name);
    if (run?.state === 'waiting') {
      this.#queue.splice(this.#queue.indexOf(name), 1);
      run.state = 'stopped';
    } else if (run?.process !== undefined) {
      run.state = 'stopping';
      run.process.send('stop');
    }
    await this.#remember().finally(() => this.#tell(name));
    return this.#summary(name);
  }

  async resume(name: string): Promise<RunSummary> {
    const path = await this.pathOf(name);
    const before = this.#live.get(name);
    // Its process has said that it stopped, and is about to end.
    if (before?.state === 'stopped') await before.ended;
    if (before?.process !== undefined || before?.state === 'waiting') return this.#summary(name);
    const config = await runFiles.config.read(path).catch(() => undefined);
    if (config === undefined && before !== undefined) return this.#enqueue(name, before.request);
    const command = config?.command;
    const isOurs = path !== this.#outside && (command === 'learn' || command === 'train');
    if (!isOurs || (await runFiles.result.exists(path)))
      throw new PupilError('usage', 'this run has its result, or is not of this studio');
    return this.#enqueue(name, {
      command,
      data: undefined,
      options: { resume: path },
    });
  }

  async detail(name: string): Promise<RunDetail> {
    const { images } = this.#options;
    const summary = await this.#summary(name);
    return detailOf(summary, await this.pathOf(name), this.#live.get(name), idFinder(images.paths));
  }

  async batch(name: string): Promise<Uint8Array | undefined> {
    await this.pathOf(name);
    const run = this.#live.get(name);
    if (run?.process === undefined) return undefined;
    const wishes = (run.wishes ??= []);
    if (wishes.length >= mostWishes) throw new PupilError('busy', 'others wait for that picture already');
    const { process } = run;
    return new Promise((resolve) => {
      const wish = (picture: Uint8Array | undefined): void => {
        clearTimeout(timer);
        process.off('exit', leave);
        run.wishes = run.wishes?.filter((one) => one !== wish) ?? [];
        resolve(picture);
      };
      const leave = (): void => wish(undefined);
      const timer = setTimeout(leave, batchPatience);
      process.once('exit', leave);
      if (wishes.push(wish) === 1) process.send('batch');
    });
  }

  async file(name: string, file: string): Promise<{ readonly bytes: Uint8Array; readonly type: string }> {
    const path = await this.pathOf(name);
    const type = Object.hasOwn(files, file) ? files[file] : undefined;
    if (type === undefined) throw new PupilError('not-found', 'a run has no such file');
    const bytes = await readFile(join(path, file)).catch(() => {
      throw new PupilError('not-found', 'the run has not written it yet');
    });
    return { bytes, type };
  }

  async predict(name: string, bytes: Uint8Array): Promise<Prediction> {
    const { run, version } = await this.modelOf(name),
      key = `${version} ${run}`;
    if (this.#predictor?.key !== key) {
      const last = this.#predictor;
      const classifier = import('../evaluate/load.js').then(({ loadModel }) => loadModel(run));
      this.#predictor = { key, classifier };
      classifier.catch(() => (this.#predictor = undefined));
      void last?.classifier.then((one) => one.close()).catch(() => undefined);
    }
    const { label, none, probabilities } = await (await this.#predictor.classifier).predict(bytes);
    return {
      label: none ? null : label,
      probabilities: Object.entries(probabilities)
        .map(([of, probability]) => ({ label: of, probability }))
        .sort((a, b) => b.probability - a.probability),
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#forecasts.stop();
    await this.#writing.catch(() => undefined);
    const running = [...this.#live.values()].filter(({ process }) => process !== undefined);
    for (const { process } of running) process?.send('stop');
    for (const { ended } of running) await ended;
    await this.#predictor?.classifier.then((classifier) => classifier.close()).catch(() => undefined);
  }

  async #names(): Promise<string[]> {
    const isOpen = this.#options.folder !== undefined;
    const entries = isOpen ? await readdir(this.#root, { withFileTypes: true }).catch(() => []) : [];
    const below = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    const outside = this.#outside === undefined ? [] : [basename(this.#outside)];
    return [...new Set([...outside, ...below, ...this.#live.keys()])];
  }

  async pathOf(name: string): Promise<string> {
    if (!(await this.#names()).includes(name)) throw new PupilError('not-found', 'there is no run of that name');
    const outside = this.#outside;
    return outside !== undefined && name === basename(outside) ? outside : join(this.#root, name);
  }

  async modelOf(name: string): Promise<RunModel> {
    const run = await this.pathOf(name),
      version = await versionOf(run);
    if (version === undefined) throw new PupilError('not-found', 'the run has no model yet');
    return { run, version };
  }

  async #summary(name: string): Promise<RunSummary> {
    return summarize(name, await this.pathOf(name), this.#live.get(name));
  }

  #tell(name: string): void {
    void this.#summary(name).then(
      (run) => this.#options.bus.send({ type: 'run', run }),
      () => undefined,
    );
  }

  async #enqueue(name: string, request: ChildRequest, asked?: RunRequest): Promise<RunSummary> {
    const course = new Course(seconds()),
      before = this.#live.get(name);
    this.#live.set(name, { request, asked, state: 'waiting', course, notes: [], curve: [] });
    this.#queue.push(name);
    try {
      await this.#remember();
    } catch (error) {
      const place = this.#queue.indexOf(name);
      if (place >= 0) {
        // Whoever is told that it cannot be started does not find it waiting.
        this.#queue.splice(place, 1);
        if (before === undefined) this.#live.delete(name);
        else this.#live.set(name, before);
        throw error;
      }
    }
    this.#pump();
    return this.#summary(name);
  }

  /** Writes down what is under way; what ends with the studio stays written. */
  #remember(): Promise<void> {
    const { folder } = this.#options;
    const write = async (): Promise<void> => {
      if (folder === undefined || this.#isClosed) return;
      const going = [...this.#live].filter(([, { state }]) => state === 'waiting' || state === 'running');
      await writeGoing(
        folder,
        going.map(([name, { asked }]) => ({ name, asked })),
      );
    };
    // One after the other: the last to write knows best.
    return (this.#writing = this.#writing.catch(() => undefined).then(write));
  }

  /** One training at a time. */
  #pump(): void {
    const isBusy = [...this.#live.values()].some(({ process }) => process !== undefined);
    const name = isBusy || this.#isClosed ? undefined : this.#queue.shift();
    if (name !== undefined) this.#begin(name, this.#live.get(name)!);
  }

  #begin(name: string, run: Live): void {
    const child = fork(new URL('./run-child.js', import.meta.url), {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    Object.assign(run, { process: child, state: 'running', course: new Course(seconds()) });
    child.on('message', (event: ChildEvent) => {
      hear(run, event);
      const isLadder = event.type === 'plan' || event.type === 'rung';
      const heard = isLadder ? readLadder(join(this.#root, name), run, event.type === 'rung') : Promise.resolve();
      void heard.then(() => this.#tell(name));
    });
    run.ended = new Promise((over) => {
      const end = (how: string): void => {
        if (run.process === undefined) return;
        delete run.process;
        if (run.state === 'running' || run.state === 'stopping') {
          run.message = `the process of the training ended (${how}); what was saved is kept, resume it`;
          run.state = 'failed';
        }
        this.#tell(name);
        over();
        this.#remember().catch(() => undefined);
        this.#pump();
      };
      child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`));
      child.once('error', ({ message }) => end(message));
    });
    child.send(run.request);
    this.#tell(name);
  }
}

/** The labels that a run is started with. */
const listOf = (folder: string, name: string): string => join(resolve(folder), studioFolder, 'data', `${name}.csv`);

/**
 * Writes the labels of now as a list of their own, with how each was given and which images are a random sample: a
 * training that is resumed finds them as they were.
 */
async function snapshot(file: string, from: string, { images, labels, assistant }: RunsOptions): Promise<string> {
  const sample = assistant.sample();
  const rows = images.paths.flatMap((path, id) =>
    labels.isSkipped(id) || images.absent.has(id)
      ? []
      : [
          [
            ...[`${from}/${path}`, labels.labelOf(id) ?? '', labels.sourceOf(id) ?? ''],
            sample.has(id) ? randomMark : '',
          ],
        ],
  );
  await makeFolder(dirname(file));
  await writeFileAtomically(file, spreadsheet([['path', 'label', sourceColumn, randomColumn], ...rows]));
  return file;
}

const timeOf = async (path: string): Promise<number> =>
  (await stat(path).catch(() => undefined))?.birthtimeMs ?? Infinity;
