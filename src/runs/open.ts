/** How every command that has a run folder begins: a new run, or one that goes on. */
import type { RunConfig } from '../artifact/formats.js';
import { assertFree, createRun, resumeRun, type Run } from '../artifact/run.js';
import { runFiles } from '../artifact/run-files.js';
import { assertData } from '../data/dataset.js';
import { hashOfFiles } from '../data/dataset-hash.js';
import type { Dataset } from '../data/sample.js';
import { PupilError } from '../errors.js';
import { isRemote, shownPlace, shownPlaces } from '../http/address.js';
import type { Given, Options as Table } from '../options/option.js';
import { version } from '../version.js';
import { openImages, type CheckedData, type ImagesOptions } from './images.js';
import { asNamedBefore, asNamedIn, isToldAnew, settingsNow, toldAnew } from './moved.js';
import { refuseChanges } from './resume.js';
import { readRequest, type WithValues } from './values.js';

/** What every command with a run folder may be told. */
export interface RunOptions {
  /** The folder to make; default the first free `runs/NAME-1`. */
  readonly out?: string | undefined;
  /** The folder of an interrupted run that is to go on. */
  readonly resume?: string | undefined;
}

export interface Opening<Settings, Options> {
  readonly command: string;
  /** The options that it takes. */
  readonly table: Table;
  readonly options: WithValues<Options>;
  readonly data: string | Dataset | undefined;
  /** Opens the images where none are given, by the settings of the run that goes on or the options. */
  readonly dataOf?: ((settings: Settings | Options) => Promise<Dataset>) | undefined;
}

/** The run of a command. */
export interface OpenRun<Settings, Options = unknown> {
  /** What the command was told, checked, values written out and lists as lists. */
  readonly options: Options;
  /** The one that goes on. */
  readonly resumed: Run<Settings> | undefined;
  /** The images: as they were given, else as the run that goes on had them. */
  readonly source: string | Dataset;
  /** Their path; undefined for a data set that was opened elsewhere. */
  readonly path: string | undefined;
  /** Opens and checks the images. Throws `bad-data` where they changed since the run began. */
  openImages(options: ImagesOptions): Promise<CheckedData>;
  /** The run, once it has begun. */
  readonly run: Run<Settings> | undefined;
  /** Begins it, or goes on; of one that goes on, run.json tells the new engine, and the time of all its sessions. */
  begin(name: string, config: Omit<RunConfig<Settings>, 'command' | 'versions'>): Promise<Run<Settings>>;
  /** Lets others work in the folder. */
  close(): Promise<void>;
}

/**
 * Opens the run of a command. Throws `usage` for options that it does not take, where there is no
 * data, and where a run that goes on is another command's or is told anew; `exists` where `out` is
 * taken, `not-found`, `bad-data` or `busy` for a run that cannot go on.
 */
export async function openForRun<Settings extends { readonly data?: string | undefined }, Options extends RunOptions>({
  command,
  table,
  options: told,
  data,
  dataOf,
}: Opening<Settings, Options>): Promise<OpenRun<Settings, Options>> {
  const options = await readRequest(table, told);
  const { out, resume } = options;
  let filesHash: string | undefined;
  let run = resume === undefined ? undefined : ((await resumeRun(resume)) as Run<Settings>);
  const begun = run;
  const resumed = run && { ...run, config: { ...run.config, settings: settingsNow(table, run.config, run.path) } };
  try {
    if (resumed && resumed.config.command !== command) {
      throw new PupilError('usage', `${resume!} is a run of pupil ${resumed.config.command}, not of pupil ${command}`, {
        option: 'resume',
      });
    }
    if (resumed) {
      await refuseChanges(table, resumed, data, options as unknown as Given<Table>);
      resumed.config.settings = toldAnew(table, resumed.config.settings, options);
    }
    const saved = resumed?.config.settings;
    const source = data ?? saved?.data ?? (await dataOf?.(saved ?? options));
    if (source === undefined) {
      throw new PupilError('usage', 'no data: give a folder with one subfolder per class, or `resume` a run');
    }
    assertData(source);
    const isResumable = Object.hasOwn(table, 'resume');
    if (!resumed && out !== undefined) await assertFree(out, { command, isResumable });
    return {
      options,
      resumed,
      source,
      path: typeof source === 'string' ? source : undefined,
      async openImages(options) {
        const rename = begun && ((found: Dataset) => asNamedBefore(found, placesOf(begun, source, options.unlabelled)));
        const checked = await openImages(source, { ...options, rename }).catch((error: unknown) => {
          throw begun && data === undefined ? withoutQuery(error, source) : error;
        });
        const { path, hash } = checked.dataset;
        if (begun && begun.config.dataHash !== hash)
          throw await changedImages(begun, [path, ...(options.unlabelled ?? [])]);
        filesHash = hashOfFiles(checked.dataset);
        if (begun && begun.config.filesHash !== filesHash) throw renamedImages(begun, path);
        return checked;
      },
      async begin(name, facts) {
        const settings = shownPlaces(facts.settings),
          training = facts.training && shownPlaces(facts.training);
        const versions = { pupil: version, node: process.version };
        const config = { command, ...facts, settings, training, filesHash, versions };
        if (!run) run = await createRun(out, name, config, isResumable);
        else if (begun && (begun.config.engine !== facts.engine || isToldAnew(table, begun.config.settings, settings)))
          await run.updateConfig({
            ...config,
            settings: asNamedIn(table, settings, begun.config.settings),
            begun: begun.config.begun,
          });
        return run;
      },
      get run() {
        return run;
      },
      close: async () => run?.close(),
    };
  } catch (error) {
    await run?.close();
    throw error;
  }
}

/** Where the images of a run are now, and what it called them. */
function placesOf(
  { config: { settings } }: Run,
  source: string | Dataset,
  unlabelled: readonly string[] = [],
): (readonly [now: string, before: string])[] {
  const { data, unlabelled: others = [] } = (settings ?? {}) as {
    readonly data?: string | undefined;
    readonly unlabelled?: readonly string[] | undefined;
  };
  const own = typeof source === 'string' && data !== undefined ? [[source, data] as const] : [];
  // Images are called by addresses without a query.
  return [...own, ...unlabelled.slice(0, others.length).map((path, i) => [path, others[i]!] as const)].map(
    ([now, before]) => [shownPlace(now), shownPlace(before)],
  );
}

/** An error of a host that may have wanted a signature, with what there is to do. */
function withoutQuery(error: unknown, source: string | Dataset): unknown {
  const isRefused = error instanceof PupilError && (error.code === 'not-found' || error.code === 'network');
  if (!isRefused || typeof source !== 'string' || !isRemote(source)) return error;
  return new PupilError(
    error.code,
    `${error.message}; a run keeps addresses without their query, which may be a signature: where there was one, ` +
      'give the address again beside `resume`',
    { cause: error },
  );
}

/** Photos or classes were added, or others removed. */
async function changedImages({ path }: Run, places: readonly string[]): Promise<PupilError> {
  const next = (await runFiles.model.exists(path))
    ? `or train a new run on all that are there now, from what it has learned, with \`model: ${path}\``
    : 'or start a new run';
  return new PupilError(
    'bad-data',
    `the images in ${anyOf(places)} changed since ${path} began, which goes on with the same images only; ` +
      `restore them, ${next}`,
    { option: 'resume' },
  );
}

/** `a or b`; of many the first. */
const anyOf = (places: readonly string[], shown = 3): string =>
  [...places.slice(0, shown), ...(places.length > shown ? [`${places.length - shown} more`] : [])].join(' or ');

/** Results depend on names and order too. */
const renamedImages = ({ path }: Run, data: string): PupilError =>
  new PupilError(
    'bad-data',
    `the images in ${data} were renamed or swapped since ${path} began; restore them, or start a new run`,
    { option: 'resume' },
  );
