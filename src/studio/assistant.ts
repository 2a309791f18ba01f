/** What runs beside the labelling: features in the background, proposals, predictions, the estimate, checks. */
import { join } from 'node:path';
import { PupilError } from '../errors.js';
import type { ForeignOptions } from '../models/index.js';
import { defaultModels } from '../options/recipes.js';
import { Random } from '../random.js';
import { startThread, type Thread } from '../threads/thread.js';
import type { Bus } from './bus.js';
import type { Decisions } from './decisions.js';
import { answeredOf, estimateOf, mixed, sampleUpTo } from './estimate.js';
import type { Images } from './folder.js';
import { studioFolder, type LabelStore } from './labels.js';
import type { Assistant, CheckDecision, CheckQueues, Folder, Proposal } from './protocol.js';
import { watchProgress } from './shared-progress.js';
import type { Learned, Looked, Proposed, ThinkRequest } from './think.js';

export interface StudioAssistant {
  readonly backbone: Folder['backbone'];
  readonly offer: Folder['offer'];
  /** The model whose features are used; undefined as long as there is none. */
  readonly model: string | undefined;
  /** Settles when it is known whether there is one. */
  readonly opened: Promise<void>;
  /** Fetches what is offered, in the background. */
  fetchBackbone(): Promise<void>;
  /** `onlyRandom`: those alone that are drawn at random. */
  next(count: number, onlyRandom?: boolean): Promise<Proposal[]>;
  alike(id: number, count: number): Promise<number[]>;
  says(): Assistant;
  /** Images that are a random sample of all, a person's answer to each of which is known. */
  sample(): ReadonlySet<number>;
  check(): CheckQueues;
  decide(decision: CheckDecision): Promise<CheckQueues>;
  /** Images came or went: the network looks at those that it has not seen. */
  lookAgain(): void;
  close(): Promise<void>;
}

export interface AssistantOptions {
  readonly folder: string | undefined;
  readonly images: Images;
  readonly labels: LabelStore;
  readonly decisions: Decisions;
  readonly model: string | undefined;
  readonly foreign: ForeignOptions;
  readonly bus: Bus;
  readonly attached: Promise<void>;
}

/** Proposals that are worked out at once. */
const ahead = 60;
/** Milliseconds that a person waits for the first of them, before images are drawn at random. */
const longestWait = 5000;
/** While labels keep coming, proposals are worked out after so many batches. */
const mostBehind = 3;

export const openAssistant = (options: AssistantOptions): StudioAssistant => new Beside(options);

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

class Beside implements StudioAssistant {
  backbone: Folder['backbone'] = null;
  offer: Folder['offer'] = null;
  readonly #options: AssistantOptions;
  readonly opened: Promise<void>;
  readonly #spec: string;
  readonly #stop: () => void;
  #order: readonly number[] = [];
  #looking: Promise<void> = Promise.resolve();
  #thread: Thread<ThinkRequest> | undefined;
  #looked: Looked | undefined;
  #thought: Learned | undefined;
  #proposed: Proposed | undefined;
  /** Labels were learned so often since images were last proposed. */
  #behind = 0;
  #arrive: () => void = () => undefined;
  #learned = { version: 0, classes: [] as readonly string[] };
  #waiting: string | null = 'The images are being opened.';
  readonly #first = new Promise<void>((resolve) => (this.#arrive = resolve));
  #isThinking = false;
  /** Other images than those that were learned from were seen since. */
  #isStale = true;
  #isClosed = false;

  constructor(options: AssistantOptions) {
    const { model, bus } = options;
    this.#options = options;
    this.#spec = model ?? defaultModels.pretrained;
    this.#stop = bus.listen((event) => {
      if (event.type === 'labels') void this.#think();
    });
    this.opened = this.#open().catch((error: unknown) => this.#fail(error));
    this.opened
      .then(async () => {
        if (this.backbone !== null) await (this.#looking = this.#look());
      })
      .catch((error: unknown) => this.#fail(error));
  }

  get model(): string | undefined {
    return this.backbone === null ? undefined : this.#spec;
  }

  fetchBackbone(): Promise<void> {
    const { offer: wanted } = this;
    if (wanted !== null) {
      this.offer = null;
      this.#fetch(wanted.name).catch((error: unknown) => {
        if (this.backbone === null) this.offer = { ...wanted, failure: messageOf(error) };
        this.#fail(error);
      });
    }
    return Promise.resolve();
  }

  async next(count: number, onlyRandom = false): Promise<Proposal[]> {
    const { labels, attached } = this.#options;
    await attached;
    // The first proposals come a moment after the network has seen the images.
    if (!onlyRandom && this.#looked !== undefined && this.#proposed === undefined)
      await Promise.race([this.#first, new Promise((resolve) => setTimeout(resolve, longestWait).unref())]);
    const free = this.#inOrder().filter((id) => this.#isFree(id));
    // Those that wait for a label, then new ones.
    const random = [...free.filter((id) => labels.isRandom(id)), ...free.filter((id) => !labels.isRandom(id))];
    const chosen = (this.#proposed?.proposals ?? []).filter(({ id }) => this.#isFree(id) && !labels.isRandom(id));
    const proposals = mixed(onlyRandom ? [] : chosen, random, { answered: labels.answered(), count });
    const drawn = proposals.flatMap(({ id, why }) => (why === 'random' && !labels.isRandom(id) ? [id] : []));
    await labels.propose(sampleUpTo(drawn, this.#inOrder(), (id) => labels.labelOf(id) !== null));
    return proposals;
  }

  sample(): ReadonlySet<number> {
    const { labels } = this.#options;
    return new Set(
      answeredOf(
        this.#inOrder(),
        (id) => labels.isRandom(id),
        (id) => this.#isFree(id),
      ),
    );
  }

  alike(id: number, count: number): Promise<number[]> {
    const row = this.#looked?.ids.indexOf(id) ?? -1;
    if (this.#looked === undefined || row < 0) return Promise.resolve([]);
    const { rows, size, ids } = this.#looked;
    const cosines = ids.map((other, r) => {
      let sum = 0;
      for (let k = 0; k < size; k++) sum += rows[row * size + k]! * rows[r * size + k]!;
      return { id: other, sum };
    });
    const nearest = cosines.filter((one) => one.id !== id).sort((a, b) => b.sum - a.sum);
    return Promise.resolve(nearest.slice(0, count).map((one) => one.id));
  }

  says(): Assistant {
    const { classes, version } = this.#learned;
    const { labels } = this.#options;
    // What was drawn at random is asked without a suggestion. If those that the model is sure of were accepted at once,
    // the images of the estimate would be easier than all.
    const predictions = (this.#thought?.predictions ?? [])
      .filter(({ id }) => this.#isFree(id) && !labels.isRandom(id))
      .map(({ id, label, confidence }) => ({
        id,
        label: classes[label]!,
        confidence,
      }));
    return {
      version,
      waiting: this.#waiting,
      predictions,
      estimate: this.#estimate(),
    };
  }

  check(): CheckQueues {
    const { labels, images, decisions } = this.#options;
    const { classes } = this.#learned;
    const isKept = (queue: CheckDecision['queue'], id: number): boolean =>
      decisions.isKept(queue, images.paths[id]!, labels.labelOf(id));
    return {
      labels: (this.#thought?.doubts ?? []).flatMap(({ id, label, confidence }) => {
        const now = labels.labelOf(id),
          likely = classes[label]!;
        return now === null || now === likely || isKept('labels', id) ? [] : [{ id, label: now, likely, confidence }];
      }),
      alike: images.alike.filter(({ ids }) => ids.every((id) => !labels.isSkipped(id) && !isKept('alike', id))),
      strangers: (this.#proposed?.strangers ?? []).filter(({ id }) => this.#isFree(id) && !isKept('strangers', id)),
    };
  }

  async decide({ queue, id, decision }: CheckDecision): Promise<CheckQueues> {
    const { labels, images, decisions } = this.#options;
    const label = labels.labelOf(id);
    if (decision === 'keep') {
      // A suggestion that was accepted: now a person has looked at it, and says that it is right.
      if (queue === 'labels' && labels.sourceOf(id) === 'accepted')
        await labels.change([{ id, was: label, to: label, source: 'person' }]);
      await decisions.keep(queue, images.paths[id]!, label);
    } else if (typeof decision === 'object' && 'kept' in decision) {
      const { kept, source } = decision;
      await decisions.ask(queue, images.paths[id]!, kept);
      if (label !== null && label === kept && labels.sourceOf(id) === 'person')
        await labels.change([{ id, was: label, to: label, source }]);
    } else {
      const to = decision === 'remove' ? ({ skip: true } as const) : decision.label;
      await labels.change([{ id, was: labels.markOf(id), to, source: 'person' }]);
    }
    return this.check();
  }

  lookAgain(): void {
    if (this.#thread === undefined && this.backbone === null) return;
    this.#looking = this.#looking.then(() => this.#look()).catch((error: unknown) => this.#fail(error));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stop();
    await this.#thread?.end();
  }

  /** All images in the order in which they are drawn at random, which their number fixes. */
  #inOrder(): readonly number[] {
    const { length } = this.#options.images.samples;
    if (this.#order.length !== length) this.#order = new Random(0, 'proposals').shuffle([...Array(length).keys()]);
    return this.#order;
  }

  #isFree(id: number): boolean {
    const { labels, images } = this.#options;
    return labels.labelOf(id) === null && !labels.isSkipped(id) && !images.absent.has(id);
  }

  async #open(): Promise<void> {
    if (this.#options.folder === undefined) {
      this.#waiting = 'No folder of images is open.';
      return;
    }
    const spec = this.#spec;
    if (spec.startsWith('hf:')) {
      const { parseHubSpec, pullModel } = await import('../models/hub.js');
      const cached = await pullModel(spec, { offline: true }).catch(() => undefined);
      if (cached === undefined) {
        const host = new URL(process.env['HF_ENDPOINT'] || 'https://huggingface.co').host;
        this.offer = { name: parseHubSpec(spec).repository, host, bytes: null, failure: null };
        this.#waiting = 'A network that compares images has to be fetched first.';
        this.#options.bus.send({ type: 'folder' });
        return;
      }
    }
    this.backbone = { name: spec.replace(/^.*[/\\](?=.)/, ''), licence: null };
  }

  async #fetch(name: string): Promise<void> {
    const { images } = this.#options;
    images.report('backbone', 0, 1);
    try {
      const { describeRemote, pullModel } = await import('../models/hub.js');
      const remote = await describeRemote(this.#spec);
      await pullModel(this.#spec, {
        progress: ({ received, total }) => images.report('backbone', received, total + 1),
      });
      this.backbone = { name, licence: remote.license ?? null };
    } finally {
      images.report('backbone');
    }
    await (this.#looking = this.#look());
  }

  #fail(error: unknown): void {
    if (this.#isClosed) return;
    this.#waiting = messageOf(error);
    this.backbone = null;
    this.#options.bus.send({ type: 'folder' });
  }

  /** The network sees all images. */
  async #look(): Promise<void> {
    const { attached, images, folder, bus } = this.#options;
    await attached;
    if (this.#isClosed) return;
    if (images.samples.length === 0) {
      this.#waiting = 'There are no images in this folder yet.';
      bus.send({ type: 'folder' });
      return;
    }
    if (this.#looked === undefined) this.#waiting = 'The network looks at the images first.';
    const url = new URL('./assistant-worker.js', import.meta.url);
    this.#thread ??= startThread<ThinkRequest>({ url, name: 'assistant' });
    const progress = watchProgress((done, total) => {
      images.report('features', done, total);
      if (done === total) images.report('comparison', 0, total);
    });
    try {
      const cache = join(folder!, studioFolder, 'features');
      // Those that are gone cannot be read, and are passed over.
      const { samples } = images;
      this.#looked = await this.#thread.call<Looked>({
        kind: 'look',
        model: this.#spec,
        foreign: this.#options.foreign,
        samples,
        cache,
        progress: progress.memory,
      });
    } finally {
      progress.stop();
      images.report('features');
      images.report('comparison');
    }
    bus.send({ type: 'folder' });
    this.#isStale = true;
    void this.#think();
  }

  /** Learns from the labels, again as long as they have changed meanwhile; then sees what to label next. */
  async #think(): Promise<void> {
    const { labels, images } = this.#options;
    if (this.#isThinking || this.#looked === undefined || this.#isClosed) return;
    this.#isThinking = true;
    try {
      const isNew = (): boolean => this.#isStale || this.#learned.version !== labels.labels().version;
      while (isNew()) {
        images.report('assistant', 0, 1);
        await this.#learn();
        if (isNew() && ++this.#behind < mostBehind) continue;
        this.#proposed = await this.#thread!.call<Proposed>({ kind: 'propose', count: ahead });
        this.#behind = 0;
        this.#arrive();
        this.#options.bus.send({ type: 'assistant', version: this.#learned.version });
      }
    } catch (error) {
      if (!this.#isClosed) this.#waiting = messageOf(error);
    } finally {
      this.#isThinking = false;
      images.report('assistant');
    }
  }

  async #learn(): Promise<void> {
    const { labels, bus, images } = this.#options;
    const { version, classes, labels: given, skipped } = labels.labels();
    const names = new Set(given.map(({ label }) => label));
    // Classes without any label are not among those that are learned.
    const used = classes.filter((name) => names.has(name));
    const place = new Map(used.map((name, c) => [name, c]));
    const byId = new Int32Array(images.samples.length).fill(-1);
    for (const { id, label } of given) byId[id] = place.get(label)!;
    const sample = this.sample();
    const fair = given.filter(({ id, source }) => source === 'folder' || sample.has(id));
    const drawn = fair.length === given.length ? undefined : fair.map(({ id }) => id);
    const known = { labels: byId, classes: used.length, skipped, drawn };
    this.#isStale = false;
    this.#thought = await this.#thread!.call<Learned>({ kind: 'learn', ...known });
    this.#learned = { version, classes: used };
    this.#waiting = used.length < 2 ? 'Label images of two classes first.' : null;
    bus.send({ type: 'assistant', version });
  }

  /** Of the images that are a sample of all (`sampleUpTo`); what looks like no class counts as wrong. */
  #estimate(): Assistant['estimate'] {
    const { classes } = this.#learned;
    if (this.#thought === undefined || classes.length < 2) return null;
    const said = new Map(this.#thought.heldOut.map(({ id, label }) => [id, classes[label]!]));
    const { labels } = this.#options.labels.labels();
    const sample = this.sample();
    const drawn = labels.filter(({ id, label }) => sample.has(id) && classes.includes(label));
    const left = this.#options.images.samples.reduce((sum, _, id) => sum + Number(this.#isFree(id)), 0);
    return estimateOf(
      drawn.map(({ id, label }) => ({ label, said: said.get(id), group: this.#options.images.samples[id]?.hash })),
      left,
    );
  }
}

/** Throws `usage` as long as there is no network. */
export const requireModel = ({ model }: StudioAssistant): string => {
  if (model !== undefined) return model;
  throw new PupilError('usage', 'a network to start from is missing; accept the offer first, or start with `model`', {
    option: 'model',
  });
};
