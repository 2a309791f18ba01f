/** What runs beside the labelling: features in the background, proposals, predictions, the estimate, checks. */
import { join } from 'node:path';
import { PupilError } from '../errors.js';
import { wilson } from '../evaluate/metrics.js';
import { defaultModels } from '../options/recipes.js';
import { Random } from '../random.js';
import { startThread, type Thread } from '../threads/thread.js';
import type { Bus } from './bus.js';
import type { Images } from './folder.js';
import { studioFolder, type LabelStore } from './labels.js';
import type { Assistant, CheckDecision, CheckQueues, Folder, Proposal } from './protocol.js';
import type { Looked, Thought, ThinkRequest } from './think.js';

export interface StudioAssistant {
  readonly backbone: Folder['backbone'];
  readonly offer: Folder['offer'];
  /** The model whose features are used; undefined as long as there is none. */
  readonly model: string | undefined;
  /** Fetches what is offered, in the background. */
  fetchBackbone(): Promise<void>;
  next(count: number): Promise<Proposal[]>;
  alike(id: number, count: number): Promise<number[]>;
  says(): Assistant;
  check(): CheckQueues;
  decide(decision: CheckDecision): Promise<CheckQueues>;
  close(): Promise<void>;
}

export interface AssistantOptions {
  readonly folder: string | undefined;
  readonly images: Images;
  readonly labels: LabelStore;
  readonly model: string | undefined;
  readonly bus: Bus;
  readonly attached: Promise<void>;
}

/** One proposal in so many is drawn at random: these are what the estimate is measured on. */
const randomEvery = 5;
/** Proposals that are worked out at once. */
const ahead = 60;

export function openAssistant({ folder, images, labels, model, bus, attached }: AssistantOptions): StudioAssistant {
  const spec = model ?? defaultModels.pretrained;
  let thread: Thread<ThinkRequest> | undefined;
  let looked: Looked | undefined;
  let rowOf: ReadonlyMap<number, number> = new Map();
  let backbone: Folder['backbone'] = null,
    offer: Folder['offer'] = null;
  let waiting: string | null = 'The images are being opened.';
  let thought: Thought | undefined,
    learned = { version: 0, classes: [] as readonly string[] };
  let isThinking = false,
    isClosed = false;
  const kept = new Set<string>();

  const look = async (): Promise<void> => {
    await attached;
    if (images.samples.length === 0) return;
    const progress = new Int32Array(new SharedArrayBuffer(8));
    waiting = 'The network looks at the images first.';
    thread = startThread<ThinkRequest>({ url: new URL('./assistant-worker.js', import.meta.url), name: 'assistant' });
    const timer = setInterval(() => {
      const total = Atomics.load(progress, 1);
      if (total > 0) images.report('features', Math.min(Atomics.load(progress, 0), total - 1), total);
    }, 300);
    timer.unref();
    try {
      const cache = join(folder!, studioFolder, 'features');
      looked = await thread.call<Looked>({ kind: 'look', model: spec, samples: images.samples, cache, progress });
    } finally {
      clearInterval(timer);
      images.report('features');
    }
    rowOf = new Map(looked.ids.map((id, row) => [id, row]));
    waiting = 'Label images of two classes first.';
    bus.send({ type: 'folder' });
    void think();
  };
  const think = async (): Promise<void> => {
    if (isThinking || looked === undefined || thread === undefined || isClosed) return;
    isThinking = true;
    try {
      for (;;) {
        const { version, classes, labels: given, skipped } = labels.labels();
        if (thought !== undefined && learned.version === version) break;
        // Classes without any label are not among those that are learned.
        const used = classes.filter((name) => given.some(({ label }) => label === name));
        const byId = new Int32Array(images.samples.length).fill(-1);
        const place = new Map(used.map((name, c) => [name, c]));
        for (const { id, label } of given) byId[id] = place.get(label)!;
        images.report('assistant', 0, 1);
        thought = await thread.call<Thought>({
          kind: 'think',
          labels: byId,
          classes: used.length,
          skipped,
          count: ahead,
        });
        learned = { version, classes: used };
        waiting = used.length < 2 ? 'Label images of two classes first.' : null;
        images.report('assistant');
        bus.send({ type: 'assistant', version });
      }
    } catch (error) {
      if (!isClosed) waiting = error instanceof Error ? error.message : String(error);
    } finally {
      isThinking = false;
      images.report('assistant');
    }
  };
  const begin = async (): Promise<void> => {
    if (folder === undefined) return;
    if (spec.startsWith('hf:')) {
      const { parseHubSpec, pullModel } = await import('../models/hub.js');
      const cached = await pullModel(spec, { offline: true }).catch(() => undefined);
      if (cached === undefined) {
        const host = new URL(process.env['HF_ENDPOINT'] || 'https://huggingface.co').host;
        offer = { name: parseHubSpec(spec).repository, host, bytes: null };
        waiting = 'A network that compares images has to be fetched first.';
        return;
      }
    }
    backbone = { name: spec.replace(/^.*[/\\](?=.)/, ''), licence: null };
    await look();
  };
  const fail = (error: unknown): void => {
    if (isClosed) return;
    waiting = error instanceof Error ? error.message : String(error);
    backbone = null;
    bus.send({ type: 'folder' });
  };
  begin().catch(fail);
  const stop = bus.listen((event) => {
    if (event.type === 'labels') void think();
  });

  const isFree = (id: number): boolean => labels.labelOf(id) === null && !labels.isSkipped(id);
  /** Random images: those that wait for a label, then new ones in an order that the seed fixes. */
  const order = attached.then(() => new Random(0, 'proposals').shuffle([...images.samples.keys()]));
  const assistant: StudioAssistant = {
    get backbone() {
      return backbone;
    },
    get offer() {
      return offer;
    },
    get model() {
      return backbone === null ? undefined : spec;
    },
    async fetchBackbone() {
      if (offer === null) return;
      const wanted = offer;
      offer = null;
      images.report('backbone', 0, 1);
      const fetching = async (): Promise<void> => {
        const { describeRemote, pullModel } = await import('../models/hub.js');
        const remote = await describeRemote(spec);
        await pullModel(spec, { progress: ({ received, total }) => images.report('backbone', received, total + 1) });
        backbone = { name: wanted.name, licence: remote.license ?? null };
        images.report('backbone');
        await look();
      };
      fetching().catch((error: unknown) => {
        if (backbone === null) offer = wanted;
        images.report('backbone');
        fail(error);
      });
    },
    async next(count) {
      const free = (await order).filter(isFree);
      const random = [...free.filter((id) => labels.isRandom(id)), ...free.filter((id) => !labels.isRandom(id))];
      const chosen = (thought?.proposals ?? []).filter(({ id }) => isFree(id) && !labels.isRandom(id));
      const taken = new Set<number>();
      const proposals: Proposal[] = [];
      const answered = labels.answered();
      for (let i = 0; proposals.length < count; i++) {
        const isRandom = (answered + i) % randomEvery === randomEvery - 1;
        const typical = isRandom ? undefined : chosen.find(({ id }) => !taken.has(id));
        const id = typical?.id ?? random.find((one) => !taken.has(one));
        if (id === undefined) break;
        taken.add(id);
        proposals.push(typical ?? { id, why: 'random' });
      }
      await labels.propose(proposals.flatMap(({ id, why }) => (why === 'random' ? [id] : [])));
      return proposals;
    },
    alike(id, count) {
      const row = rowOf.get(id);
      if (looked === undefined || row === undefined) return Promise.resolve([]);
      const { rows, size, ids } = looked;
      const cosines = ids.map((other, r) => {
        let sum = 0;
        for (let k = 0; k < size; k++) sum += rows[row * size + k]! * rows[r * size + k]!;
        return { id: other, sum };
      });
      const nearest = cosines.filter((one) => one.id !== id).sort((a, b) => b.sum - a.sum);
      return Promise.resolve(nearest.slice(0, count).map((one) => one.id));
    },
    says() {
      const { classes, version } = learned;
      const predictions = (thought?.predictions ?? [])
        .filter(({ id }) => isFree(id))
        .map(({ id, label, confidence }) => ({ id, label: classes[label]!, confidence }));
      return { version, waiting, predictions, estimate: estimate() };
    },
    check() {
      const { classes } = learned;
      const isKept = (queue: string, id: number): boolean => kept.has(`${queue} ${id}`);
      return {
        labels: (thought?.doubts ?? []).flatMap(({ id, label, confidence }) => {
          const now = labels.labelOf(id),
            likely = classes[label]!;
          return now === null || now === likely || isKept('labels', id) ? [] : [{ id, label: now, likely, confidence }];
        }),
        alike: images.alike.filter(({ ids }) => ids.every((id) => !labels.isSkipped(id) && !isKept('alike', id))),
        strangers: (thought?.strangers ?? []).filter(
          ({ id }) => !labels.isSkipped(id) && labels.labelOf(id) === null && !isKept('strangers', id),
        ),
      };
    },
    async decide({ queue, id, decision }) {
      if (decision === 'keep') kept.add(`${queue} ${id}`);
      else {
        const to = decision === 'remove' ? ({ skip: true } as const) : decision.label;
        await labels.change([{ id, was: labels.labelOf(id), to, source: 'person' }]);
      }
      return assistant.check();
    },
    async close() {
      isClosed = true;
      stop();
      await thread?.end();
    },
  };

  /** Only images that were proposed at random are a sample of all; what looks like no class counts as wrong. */
  function estimate(): Assistant['estimate'] {
    if (thought === undefined || learned.classes.length < 2) return null;
    const said = new Map(thought.heldOut.map(({ id, label }) => [id, learned.classes[label]!]));
    const drawn = labels.labels().labels.filter(({ random, label }) => random && learned.classes.includes(label));
    if (drawn.length === 0) return null;
    const accuracy = drawn.filter(({ id, label }) => said.get(id) === label).length / drawn.length;
    return { accuracy, interval: wilson(accuracy, drawn.length), images: drawn.length };
  }
  return assistant;
}

/** Throws `bad-data` for a folder whose features are not known yet. */
export const requireModel = ({ model }: StudioAssistant): string => {
  if (model !== undefined) return model;
  throw new PupilError('usage', 'a network to start from is missing; accept the offer first, or start with `model`', {
    option: 'model',
  });
};
