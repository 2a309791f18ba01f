/** One open folder: its images, labels, the model beside, its runs. */
import { createHash, randomBytes } from 'node:crypto';
import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder, writeFileAtomically } from '../artifact/files.js';
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
import { openTakeAways, type TakeAways } from './take-away.js';

export interface Project {
  /** Of this opening. */
  readonly key: string;
  /** Of this folder, each time it is opened on this machine: a digest of where it is; '' where none is open. */
  readonly identity: string;
  /** The port at which a studio had the folder open last. */
  readonly portBefore: number | undefined;
  readonly images: Images;
  readonly labels: LabelStore;
  readonly assistant: StudioAssistant;
  readonly runs: Runs;
  readonly look: RunLook;
  readonly takeAways: TakeAways;
  readonly inbox: Inbox;
  /** Settles when the labels know the images. */
  readonly attached: Promise<void>;
  /** Settles when all images were looked at. */
  readonly ready: Promise<void>;
  /** Looks for images that came or went. */
  rescan(): Promise<void>;
  /** Writes down where this studio can be found, for whoever opens the folder a second time. */
  announce(address: string): Promise<void>;
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

/** Where the studio is that has the folder open; without its token, which the browser has that opened it. */
const addressFile = 'address.txt';

async function readPort(own: string): Promise<number | undefined> {
  const address = (await readFile(join(own, addressFile), 'utf8').catch(() => '')).trim();
  const [, port] = /^http:\/\/127\.0\.0\.1:(\d{1,5})\/$/.exec(address) ?? [];
  return port === undefined || Number(port) > 65_535 ? undefined : Number(port);
}

/** Throws `busy` while another studio has the folder open, with what to do. */
async function lockAlone(folder: string, own: string): Promise<() => Promise<void>> {
  try {
    return (await lockFolder(own)).release;
  } catch (error) {
    if (!(error instanceof PupilError) || error.code !== 'busy') throw error;
    const port = await readPort(own);
    const there = port === undefined ? '' : ` (http://127.0.0.1:${port}/ in the browser that shows it)`;
    throw new PupilError(
      'busy',
      `${folder}: another studio has it open; open the address that it printed${there}, or end it with Ctrl-C ` +
        `(${error.message})`,
      { cause: error },
    );
  }
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);

/** Opens a folder; `bus` hears of it. Throws `not-found`, `busy` (another studio has it open), `bad-data`. */
export async function openProject({ folder, run, model, foreign }: ProjectOptions, windows: Bus): Promise<Project> {
  if (folder !== undefined && !(await isDirectory(folder)))
    throw new PupilError('not-found', `${folder}: there is no such folder; give a folder of images`);
  const identity = folder === undefined ? '' : digest(await realpath(folder));
  const own = folder === undefined ? undefined : join(folder, studioFolder);
  if (own !== undefined) await makeFolder(own);
  const unlock = own === undefined ? undefined : await lockAlone(folder!, own);
  const portBefore = own === undefined ? undefined : await readPort(own);
  const bus = createBus();
  const silence = bus.listen((event) => windows.send(event));
  try {
    const labels = await openLabels(folder, (version) => bus.send({ type: 'labels', version }));
    const attach = (): void => labels.attach(images.paths, images.layout, images.absent);
    const images = openImages(folder, run === undefined ? '' : 'runs', { bus, onAbsent: attach });
    const attached = images.found.then(attach);
    const decisions = await openDecisions(folder);
    const assistant = openAssistant({ folder, images, labels, decisions, model, foreign, bus, attached });
    const runs = await openRuns({ folder, run, images, labels, assistant, attached, foreign, bus });
    const look = openRunLook({ images, labels, assistant, runs });
    const takeAways = openTakeAways({ images, runs });
    const ready = attached.then(() => images.seen);
    ready.catch(() => undefined); // those who wait for it hear why
    return {
      ...{ key: randomBytes(8).toString('hex'), identity, portBefore },
      ...{ images, labels, assistant, runs, look, takeAways, attached },
      inbox: openInbox(folder),
      ready,
      async rescan() {
        if (folder === undefined || !(await images.rescan())) return;
        attach();
        assistant.lookAgain();
      },
      async announce(address) {
        if (own !== undefined) await writeFileAtomically(join(own, addressFile), `${address}\n`);
      },
      async close() {
        silence();
        await look.close();
        await takeAways.close();
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
