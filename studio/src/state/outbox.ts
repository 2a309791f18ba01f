/**
 * What this window still has to send, in order. What the server does not answer stays here until it does, and is kept
 * by the browser over a reload of the page, with the paths of its images: a server that is started anew may number them
 * otherwise.
 */
import { computed, effect, signal } from '@preact/signals';
import type { Folder } from '../protocol.ts';
import { of } from '../parts/numbers.ts';
import { folder, images } from './folder.ts';
import { imagesOf, type Step } from './marks.ts';
import { complain } from './notices.ts';
import { isReloading } from './places.ts';
import { Refused, returned } from './requests.ts';

/** A step on its way. Sent again, it has the same key, by which the server knows it. */
export interface Parcel {
  readonly key: string;
  readonly step: Step;
}

/** As the browser keeps them. */
interface Stored {
  /** Its name. */
  readonly folder: string;
  readonly parcels: readonly (Parcel & { readonly paths: Readonly<Record<number, string>> })[];
}

/** The first one is being sent. */
export const parcels = signal<readonly Parcel[]>([]);
/** Why they are not saved yet; null while the server answers. */
export const holdUp = signal<Refused | null>(null);
/** What waits for folders that are not open. */
export const stranded = signal<readonly { readonly name: string; readonly folder: string; readonly images: number }[]>(
  [],
);

/** Images with something that is not saved, whether all of it is labels. */
export const unsaved = computed(() => {
  const steps = parcels.value.map(({ step }) => step);
  return {
    images: new Set(steps.flatMap(imagesOf)).size,
    isLabels: steps.every(({ kept }) => kept === undefined),
  };
});

export const pack = (step: Step): Parcel => ({ key: crypto.randomUUID(), step });

/** Milliseconds until the server is asked again, and until it is said that it does not answer. */
const patience = 2000;
let wake = (): void => undefined;
/** The server may be there again. */
export const tryAgain = (): void => wake();

const pause = (): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, patience);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });

const silence = new Refused(0, 'The studio does not answer.');

/**
 * Asks until there is an answer. `ask` is told whether it may have been heard before; `meet` comes to terms with a
 * server that was started anew. Throws what the server refuses for good.
 */
export async function persist<T>(
  ask: (isAgain: boolean) => Promise<T>,
  meet: () => Promise<void>,
  isAgain = false,
): Promise<T> {
  for (let again = isAgain; ; again = true) {
    const slow = setTimeout(() => (holdUp.value ??= silence), patience);
    try {
      const answer = await ask(again);
      if (holdUp.value !== null) returned.value++;
      holdUp.value = null;
      return answer;
    } catch (error) {
      if (!(error instanceof Refused) || !error.isPassing) {
        holdUp.value = null;
        throw error;
      }
      holdUp.value = error;
      const isMet =
        error.code === 'other-folder' &&
        (await meet().then(
          () => true,
          () => false,
        ));
      if (!isMet) await pause();
    } finally {
      clearTimeout(slow);
    }
  }
}

const prefix = 'pupil-outbox ';

/** What the browser keeps by that name; undefined where there is nothing. */
function read(name: string): Stored | undefined {
  try {
    return (JSON.parse(sessionStorage.getItem(name) ?? 'null') as Stored | null) ?? undefined;
  } catch {
    return undefined;
  }
}

function write(name: string, stored: Stored): void {
  try {
    if (stored.parcels.length === 0) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, JSON.stringify(stored));
  } catch {
    // There is no room: the page holds them, and asks before it is closed.
  }
}

/**
 * From now on the browser keeps what is on its way. What it has kept of this folder is returned, to be sent; what it
 * has kept of others is `stranded`.
 */
export function openOutbox({ identity }: Folder): readonly Parcel[] {
  const own = prefix + identity;
  const others = Object.keys(sessionStorage).filter((name) => name.startsWith(prefix) && name !== own);
  stranded.value = others.flatMap((name) => {
    const { folder: of = '', parcels: all = [] } = read(name) ?? {};
    return [{ name, folder: of, images: new Set(all.flatMap(({ paths }) => Object.values(paths))).size }];
  });
  const waiting = (read(own)?.parcels ?? []).map(numbered).filter(({ step }) => imagesOf(step).length > 0);
  effect(() => {
    const all = parcels.value.map((one) => ({
      ...one,
      paths: Object.fromEntries(imagesOf(one.step).map((id) => [id, images.value[id]?.path ?? ''])),
    }));
    if (!isReloading()) write(own, { folder: folder.value?.name ?? '', parcels: all });
  });
  return waiting;
}

export function giveUpStranded(): void {
  for (const { name } of stranded.value) sessionStorage.removeItem(name);
  stranded.value = [];
}

/** With the numbers that its images have now; without those that are gone. */
function numbered({ key, step, paths }: Stored['parcels'][number]): Parcel {
  const ids = new Map(images.value.map(({ id, path }) => [path, id]));
  const idOf = (id: number): number | undefined => ids.get(paths[id] ?? '');
  const gone = imagesOf(step).filter((id) => idOf(id) === undefined);
  if (gone.length > 0)
    complain(`${of(gone.length, 'label')} could not be saved: the image is not in the folder any more.`);
  const { kept } = step,
    keptId = kept && idOf(kept.id);
  return {
    key,
    step: {
      ...step,
      changes: step.changes.flatMap((change) => {
        const id = idOf(change.id);
        return id === undefined ? [] : [{ ...change, id }];
      }),
      kept: kept === undefined || keptId === undefined ? undefined : { ...kept, id: keptId },
    },
  };
}
