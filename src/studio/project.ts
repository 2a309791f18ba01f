/** One open folder: its images, labels, the model beside, its runs. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { makeFolder } from '../artifact/files.js';
import { lockFolder } from '../artifact/lock.js';
import { PupilError } from '../errors.js';
import type { ForeignOptions } from '../models/index.js';
import { openAssistant, type StudioAssistant } from './assistant.js';
import { createBus, type Bus } from './bus.js';
import { openDecisions } from './decisions.js';
import { openImages, type Images } from './folder.js';
import { openInbox, type Inbox } from './inbox.js';
import { openLabels, studioFolder, type LabelStore } from './labels.js';
import { openRunLook, type RunLook } from './look.js';
import { isDirectory } from './paths.js';
import { openRuns, type Runs } from './runs.js';

export interface Project {
  /** Of this opening. */
  readonly key: string;
  readonly images: Images;
  readonly labels: LabelStore;
  readonly assistant: StudioAssistant;
  readonly runs: Runs;
  readonly look: RunLook;
  readonly inbox: Inbox;
  /** Settles when the labels know the images. */
  readonly attached: Promise<void>;
  /** Settles when all images were looked at. */
  readonly ready: Promise<void>;
  /** Looks for images that came or went. */
  rescan(): Promise<void>;
  /** Stops what runs, its state saved; nothing is heard of it any more. */
  close(): Promise<void>;
}

export interface ProjectOptions {
  /** undefined: there are no images, only runs to look at. */
  readonly folder: string | undefined;
  /** A run elsewhere. */
  readonly run?: string | undefined;
  readonly model: string | undefined;
  readonly foreign: ForeignOptions;
}

/** Opens a folder; `bus` hears of it. Throws `not-found`, `busy` (another studio has it open), `bad-data`. */
export async function openProject({ folder, run, model, foreign }: ProjectOptions, windows: Bus): Promise<Project> {
  if (folder !== undefined && !(await isDirectory(folder)))
    throw new PupilError('not-found', `${folder}: there is no such folder; give a folder of images`);
  const own = folder === undefined ? undefined : join(folder, studioFolder);
  if (own !== undefined) await makeFolder(own);
  const unlock = own === undefined ? undefined : await lockFolder(own);
  const bus = createBus();
  const silence = bus.listen((event) => windows.send(event));
  try {
    const labels = await openLabels(folder, (version) => bus.send({ type: 'labels', version }));
    const images = openImages(folder, run === undefined ? '' : 'runs', bus);
    const attached = images.found.then(() => labels.attach(images.paths, images.layout));
    const decisions = await openDecisions(folder);
    const assistant = openAssistant({ folder, images, labels, decisions, model, foreign, bus, attached });
    const runs = await openRuns({ folder, run, images, labels, assistant, foreign, bus });
    const look = openRunLook({ images, labels, assistant, runs });
    const ready = attached.then(() => images.seen);
    ready.catch(() => undefined); // those who wait for it hear why
    return {
      ...{ key: randomBytes(8).toString('hex'), images, labels, assistant, runs, look, attached },
      inbox: openInbox(folder),
      ready,
      async rescan() {
        if (folder === undefined || !(await images.rescan())) return;
        labels.attach(images.paths, images.layout);
        assistant.lookAgain();
      },
      async close() {
        silence();
        await look.close();
        await runs.close();
        await assistant.close();
        await images.close();
        await labels.idle();
        await unlock?.();
      },
    };
  } catch (error) {
    silence();
    await unlock?.();
    throw error;
  }
}
