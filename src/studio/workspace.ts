/** Which folder is open, and what else can be: folders below the one that was given, and bundled sets. */
import { basename, relative, resolve, sep } from 'node:path';
import { PupilError } from '../errors.js';
import type { Bus } from './bus.js';
import { listPlaces, makePlace, namesIn, placeIn } from './places.js';
import { openProject, type Project, type ProjectOptions } from './project.js';
import type { OpenRequest, Places } from './protocol.js';
import { bundledSets, writeSet } from './sets.js';

export interface Workspace {
  readonly project: Project;
  /** Where the open folder is below the one to choose from, parts joined by `/`; null: none is open. */
  readonly at: string | null;
  readonly canChoose: boolean;
  /** Throws `usage`, `not-found`. */
  list(at: string): Promise<Places>;
  /** Says where the studio can be found. */
  announce(address: string): Promise<void>;
  /** Opens another folder in place of this one. Throws `busy` while a training runs, `usage`, `not-found`, `io`. */
  open(request: OpenRequest): Promise<void>;
  close(): Promise<void>;
}

export interface WorkspaceOptions extends ProjectOptions {
  /** The folder whose folders can be chosen; undefined: none can. */
  readonly root: string | undefined;
}

/** Opens the folder that was given, or none. */
export async function openWorkspace({ root: given, ...options }: WorkspaceOptions, bus: Bus): Promise<Workspace> {
  const root = given === undefined ? undefined : resolve(given);
  let { folder } = options;
  let project = await openProject(options, bus),
    address: string | undefined;
  let opening: Promise<void> = Promise.resolve(),
    closing: Promise<void> = Promise.resolve();
  const rootOf = (): string => {
    if (root !== undefined) return root;
    throw new PupilError('usage', 'this studio was started for a run; start pupil studio to open folders');
  };
  const folderFor = async (request: OpenRequest): Promise<string> => {
    if ('set' in request) return writeSet(rootOf(), request.set);
    const names = namesIn(request.folder);
    return request.make === true ? makePlace(rootOf(), names) : placeIn(rootOf(), names);
  };
  const change = async (request: OpenRequest): Promise<void> => {
    const isGoing = (await project.runs.list()).find(({ state }) => /^(waiting|running|stopping)$/.test(state));
    if (isGoing !== undefined)
      throw new PupilError('busy', `${isGoing.name} is under way; stop it before you open another folder`);
    const next = await folderFor(request);
    if (folder !== undefined && resolve(folder) === resolve(next)) return;
    const before = project;
    project = await openProject({ ...options, run: undefined, folder: next }, bus).catch((error: unknown) => {
      // Pages are not told where on this machine a folder is.
      if (!(error instanceof PupilError)) throw error;
      throw new PupilError(error.code, error.message.replaceAll(next, basename(next)));
    });
    folder = next;
    if (address !== undefined) await project.announce(address);
    bus.send({ type: 'opened' });
    closing = closing.then(() => before.close()).catch(() => undefined);
  };
  return {
    get project() {
      return project;
    },
    get at() {
      return folder === undefined || root === undefined ? null : relative(root, resolve(folder)).split(sep).join('/');
    },
    canChoose: root !== undefined,
    announce(at) {
      address = at;
      return project.announce(at);
    },
    async list(at) {
      return { root: basename(rootOf()), ...(await listPlaces(rootOf(), at)), sets: bundledSets };
    },
    open(request) {
      const opened = opening.then(() => change(request));
      opening = opened.catch(() => undefined);
      return opened;
    },
    async close() {
      await opening;
      await closing;
      await project.close();
    },
  };
}
