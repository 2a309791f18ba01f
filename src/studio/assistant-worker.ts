/** A thread that sees all images by a frozen network, and learns from the labels given so far. */
import { unitRows } from '../evaluate/unit-rows.js';
import { openLooker, type Looker, type Seen } from '../jobs/look.js';
import { resolveModel } from '../models/index.js';
import { keptViews } from '../techniques/closed-form/views.js';
import { answer } from '../threads/answer.js';
import { learn, propose, type Lesson, type Sight } from './lesson.js';
import { shareProgress } from './shared-progress.js';
import type { Known, Learned, LookAtAll, Looked, Proposed, ThinkRequest } from './think.js';

let looker: Looker | undefined;
let sight: Sight | undefined;
let lesson: Lesson | undefined;
/** Images that look like no class, as they were found last. */
let strange: Uint8Array | undefined;

answer<ThinkRequest>(
  (request) => {
    if (request.kind === 'look') return look(request);
    if (request.kind === 'learn') return learnNow(request);
    if (request.kind === 'propose') return proposeNow(request.count);
    return looker?.close();
  },
  ({ kind }) => kind === 'close',
);

async function learnNow(known: Known): Promise<Learned> {
  const { learned, ...rest } = await learn(looker!.engine, sight!, known, strange);
  lesson = rest;
  return learned;
}

async function proposeNow(count: number): Promise<Proposed> {
  const { proposed, strange: found } = await propose(looker!.engine, sight!, lesson!, count);
  strange = found;
  return proposed;
}

async function look({ model: spec, foreign, samples, cache, progress }: LookAtAll): Promise<Looked> {
  // A head of any classes shows where the features are.
  const model = await resolveModel(spec, {
    ...foreign,
    labels: ['unlabelled', 'labelled'],
    purpose: 'pretrained',
    hub: { offline: true },
  });
  looker ??= await openLooker(model, { featureCache: cache });
  const looking = looker.lookAt(samples);
  let seen: Seen;
  for (;;) {
    const { done, value } = await looking.next();
    if (done) {
      seen = value;
      break;
    }
    if (value.type === 'progress') shareProgress(progress, value.done, value.total);
  }
  // Also where some were passed over, or all were seen before.
  shareProgress(progress, samples.length, samples.length);
  const place = new Map(samples.map(({ path }, id) => [path, id]));
  const ids = seen.samples.map(({ path }) => place.get(path)!);
  const { features, size } = seen.layers[0]!;
  const unit = new Float32Array(new SharedArrayBuffer(features.length * 4));
  unit.set(unitRows(features, size));
  sight = { ...seen, ids, unit, views: keptViews(looker.engine, [seen.layers]) };
  [lesson, strange] = [undefined, undefined];
  // Worked out while nobody waits for it.
  if (ids.length > 2) await sight.views.of([0], 'all');
  return { architecture: model.architecture, ids, rows: unit, size };
}
