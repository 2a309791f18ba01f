/** The addresses below /api (protocol.ts) of one open folder: each reads what it was sent, and answers JSON. */
import { Hono, type Context } from 'hono';
import {
  numberIn,
  readBody,
  readCheck,
  readClassChange,
  readDelivery,
  readLabelChanges,
  readRunRequest,
} from './bodies.js';
import { answerErrors } from './failures.js';
import { optionFields } from './forms.js';
import type { Project } from './project.js';
import type { Folder } from './protocol.js';
import { failure, reportPolicy } from './safety.js';

/** Where the folder is among those that can be chosen. */
export type Place = () => Pick<Folder, 'at' | 'canChoose'>;

export function projectApi(project: Project, place: Place): Hono {
  const app = new Hono();
  answerErrors(app);
  const api = new Hono();
  addImages(api, project, place);
  addLabels(api, project);
  addLook(api, project);
  addRuns(api, project);
  addTakeAways(api, project);
  api.all('*', (context) => context.json(failure('not-found', 'no such address'), 404));
  return app.route('/api', api);
}

const idIn = (context: Context): number => numberIn('the number of an image', context.req.param('id'), 10 ** 9);

/** How many are asked for. */
const countIn = (context: Context, most: number, usual: number): number =>
  numberIn('count', context.req.query('count'), most, usual);

export function folderOf({ key, identity, images, labels, assistant }: Project, place: Place): Folder {
  return {
    key,
    identity,
    ...place(),
    name: images.name,
    images: images.paths.length - images.absent.size,
    labelled: labels.labels().labels.length,
    unreadable: images.unreadable,
    alike: images.alike,
    manifest: 'labels.csv',
    backbone: assistant.backbone,
    offer: assistant.offer,
    note: images.note,
    progress: [...images.progress.values()],
  };
}

function addImages(api: Hono, project: Project, place: Place): void {
  const { images, assistant, inbox } = project;
  api.get('/folder', (context) => context.json(folderOf(project, place)));
  api.post('/backbone', async (context) => {
    await assistant.fetchBackbone();
    return context.json(folderOf(project, place));
  });
  api.post('/rescan', async (context) => {
    await project.rescan();
    return context.json(folderOf(project, place));
  });
  api.post('/add', async (context) => {
    const read = async (): Promise<Uint8Array> => new Uint8Array(await context.req.arrayBuffer());
    return context.json(await inbox.add(context.req.query('path') ?? '', read));
  });
  api.get('/images', async (context) => {
    await project.attached;
    return context.json(images.list());
  });
  // `bytes` are asked for only where the window does not have them.
  const send = async (context: Context, hash: string, type: string, bytes: () => Promise<Uint8Array> | Uint8Array) => {
    const tag = `"${hash}"`;
    const headers = { 'ETag': tag, 'Cache-Control': 'private, no-cache', 'Content-Type': type };
    if (hash !== '' && context.req.header('if-none-match') === tag) return context.body(null, 304, headers);
    return context.body(Uint8Array.from(await bytes()), 200, headers);
  };
  const hashOf = (id: number): string => images.samples[id]?.hash ?? '';
  api.get('/thumbnail/:id', async (context) => {
    const id = idIn(context);
    return await send(context, hashOf(id), 'image/jpeg', () => images.thumbnail(id));
  });
  api.get('/picture/:id', async (context) => {
    const id = idIn(context);
    const { bytes, type } = await images.picture(id);
    return send(context, hashOf(id), type, () => bytes);
  });
}

function addLabels(api: Hono, { images, labels, assistant, attached }: Project): void {
  api.get('/labels', async (context) => {
    await attached;
    return context.json(labels.labels());
  });
  api.post('/labels', async (context) => {
    await attached;
    const changes = readLabelChanges(await readBody(context), images.paths.length);
    const answer = await images.yieldTo(labels.change(changes, readDelivery(context)));
    return context.json(answer, answer.conflicts === undefined ? 200 : 409);
  });
  api.post('/classes', async (context) => {
    await attached;
    return context.json(await labels.changeClasses(readClassChange(await readBody(context))));
  });
  api.get('/next', async (context) => {
    await attached;
    const onlyRandom = context.req.query('only') === 'random';
    return context.json(await assistant.next(countIn(context, 500, 10), onlyRandom));
  });
  api.get('/alike/:id', async (context) => {
    const id = idIn(context);
    return context.json(await assistant.alike(id, countIn(context, 500, 20)));
  });
  api.get('/assistant', (context) => context.json(assistant.says()));
  api.get('/check', (context) => context.json(assistant.check()));
  api.post('/check', async (context) => {
    await attached;
    return context.json(await assistant.decide(readCheck(await readBody(context), images.paths.length)));
  });
}

/** Before the addresses of runs by name: `compare` is none. */
function addLook(api: Hono, { look }: Project): void {
  api.get('/runs/compare', async (context) =>
    context.json(await look.compare((context.req.query('runs') ?? '').split(',').filter((name) => name !== ''))),
  );
  api.get('/runs/:name/held-out', async (context) => context.json(await look.heldOut(context.req.param('name'))));
  api.get('/runs/:name/heat/:id', async (context) => {
    const jpeg = await look.heat(context.req.param('name'), idIn(context), context.req.query('label'));
    return context.body(Uint8Array.from(jpeg), 200, { 'Content-Type': 'image/jpeg' });
  });
  api.get('/nearest/:id', async (context) =>
    context.json(await look.nearest(idIn(context), countIn(context, 100, 12))),
  );
}

function addRuns(api: Hono, { runs }: Project): void {
  api.get('/options/:command', (context) => context.json(optionFields(context.req.param('command'))));
  api.get('/runs', async (context) => context.json(await runs.list()));
  api.post('/runs', async (context) => context.json(await runs.start(readRunRequest(await readBody(context)))));
  api.post('/forecast', async (context) => context.json(await runs.forecast(readRunRequest(await readBody(context)))));
  api.get('/runs/:name', async (context) => context.json(await runs.detail(context.req.param('name'))));
  api.post('/runs/:name/stop', async (context) => context.json(await runs.stop(context.req.param('name'))));
  api.post('/runs/:name/resume', async (context) => context.json(await runs.resume(context.req.param('name'))));
  api.get('/runs/:name/batch', async (context) => {
    const png = await runs.batch(context.req.param('name'));
    if (png === undefined) return context.body(null, 204);
    return context.body(Uint8Array.from(png), 200, { 'Content-Type': 'image/png' });
  });
  api.post('/runs/:name/predict', async (context) => {
    const bytes = new Uint8Array(await context.req.arrayBuffer());
    return context.json(await runs.predict(context.req.param('name'), bytes));
  });
  api.get('/runs/:name/files/:file', async (context) => {
    const { bytes, type } = await runs.file(context.req.param('name'), context.req.param('file'));
    context.header('Content-Security-Policy', reportPolicy);
    return context.body(Uint8Array.from(bytes), 200, { 'Content-Type': type });
  });
}

function addTakeAways(api: Hono, { takeAways }: Project): void {
  api.post('/runs/:name/take/:form', async (context) =>
    context.json(await takeAways.make(context.req.param('name'), context.req.param('form'))),
  );
  api.get('/runs/:name/take/:form', async (context) => {
    const { name, form } = context.req.param();
    const type = form === 'int8' ? 'application/octet-stream' : 'application/zip';
    return context.body((await takeAways.take(name, form)) as Uint8Array<ArrayBuffer>, 200, { 'Content-Type': type });
  });
}
