import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { draftOf, sweepDrafts } from '../../../drafts.js';

/** What was timed on this machine, from run to run. */
export interface ChoiceCache {
  get(key: string): string | undefined;
  set(key: string, choice: string): void;
  /** Writes what is new. */
  save(): void;
}

/** Choices by machine, then by what was timed. */
type Contents = Record<string, Record<string, string>>;

/** The file in the user's cache folder (`PUPIL_CACHE`, else by the custom of the system). */
export function defaultChoiceFile(
  environment: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  const name = 'onednn-choices.json';
  if (environment['PUPIL_CACHE']) return join(environment['PUPIL_CACHE'], name);
  if (platform === 'win32' && environment['LOCALAPPDATA'])
    return join(environment['LOCALAPPDATA'], 'pupil', 'cache', name);
  if (platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'pupil', name);
  return join(environment['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'pupil', name);
}

/** What timings hold for: the processor, the library and the threads. */
export const machineKey = (version: string, threads: number | undefined): string =>
  `${cpus()[0]?.model.trim() ?? 'unknown'}, ${cpus().length} cores, oneDNN ${version}, ${threads ?? 'all'} threads`;

function readContents(file: string): Contents {
  try {
    const found: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return typeof found === 'object' && found !== null && !Array.isArray(found) ? (found as Contents) : {};
  } catch {
    return {}; // none yet, or not one of ours
  }
}

/** The choices in a file for a machine. A file that cannot be read or written costs only time. */
export function openChoiceCache(file: string, machine: string): ChoiceCache {
  void sweepDrafts(dirname(file));
  const section = (contents: Contents): Record<string, string> => {
    const own: unknown = Object.hasOwn(contents, machine) ? contents[machine] : undefined;
    return typeof own === 'object' && own !== null ? (own as Record<string, string>) : {};
  };
  const known = new Map<string, unknown>(Object.entries(section(readContents(file)))),
    added = new Map<string, string>();
  return {
    get(key) {
      const found = known.get(key);
      return typeof found === 'string' ? found : undefined;
    },
    set(key, choice) {
      known.set(key, choice);
      added.set(key, choice);
    },
    save() {
      if (added.size === 0) return;
      const contents = readContents(file); // another process may have added some
      contents[machine] = { ...section(contents), ...Object.fromEntries(added) };
      const own = draftOf(file);
      try {
        mkdirSync(dirname(file), { recursive: true });
        writeFileSync(own, `${JSON.stringify(contents, null, 1)}\n`);
        renameSync(own, file);
        added.clear();
      } catch {
        // timed again the next time, then
      }
      try {
        rmSync(own, { force: true });
      } catch {
        // was never there
      }
    },
  };
}
