/** The addresses below /api (protocol.ts): choosing a folder, events, and those of the folder that is open. */
import type { Hono } from 'hono';
import { readBody, readOpenRequest } from './bodies.js';
import type { Bus } from './bus.js';
import { addEvents } from './events.js';
import { answerErrors } from './failures.js';
import type { Project } from './project.js';
import { folderOf, projectApi, type Place } from './project-api.js';
import { failure } from './safety.js';
import type { Workspace } from './workspace.js';

export function addApi(app: Hono, workspace: Workspace, bus: Bus): void {
  answerErrors(app);
  const place: Place = () => ({ at: workspace.at, canChoose: workspace.canChoose });
  const apis = new WeakMap<Project, Hono>();
  const apiOf = (project: Project): Hono => {
    const api = apis.get(project) ?? projectApi(project, place);
    apis.set(project, api);
    return api;
  };
  app.get('/api/folders', async (context) => context.json(await workspace.list(context.req.query('at') ?? '')));
  app.post('/api/open', async (context) => {
    await workspace.open(readOpenRequest(await readBody(context)));
    return context.json(folderOf(workspace.project, place));
  });
  addEvents(app, bus);
  app.all('/api/*', async (context) => {
    const { project } = workspace;
    const meant = context.req.header('pupil-folder');
    // Numbers of images mean others there.
    if (meant !== undefined && meant !== project.key)
      return context.json(failure('other-folder', 'another folder was opened; reload the page'), 409);
    const answer = await apiOf(project).fetch(context.req.raw, context.env);
    return context.newResponse(answer.body, answer);
  });
}
