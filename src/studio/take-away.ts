/** What a finished run is taken away as beside its model.onnx: made when it is asked for, and the last one kept. */
import { setTimeout } from 'node:timers/promises';
import { PupilError } from '../errors.js';
import { startThread, type Thread } from '../threads/thread.js';
import type { Images } from './folder.js';
import type { TakeAway, TakeAwayForm } from './protocol.js';
import type { Runs } from './runs.js';
import { watchProgress } from './shared-progress.js';
import type { TakeAwayRequest } from './take-away-worker.js';

export interface TakeAways {
  /** Makes it; answers when it is there, or after a moment, to be asked again. Throws `not-found`, `busy`. */
  make(name: string, form: string): Promise<TakeAway>;
  /** Throws `not-found` unless it was made last. */
  take(name: string, form: string): Promise<Uint8Array>;
  close(): Promise<void>;
}

const forms: readonly TakeAwayForm[] = ['int8', 'hub', 'web'];
/** Images that numbers of 8 bits are scaled by. */
const mostImages = 300;
/** Milliseconds after which it is said how far it is. */
const moment = 1000;

/** `key`: of the file: another one for another model. */
interface Asked extends Pick<TakeAwayRequest, 'run' | 'name' | 'form'> {
  readonly key: string;
}

interface Making {
  readonly key: string;
  readonly bytes: Promise<Uint8Array>;
  isOver: boolean;
  done: number | null;
}

export function openTakeAways({ images, runs }: { readonly images: Images; readonly runs: Runs }): TakeAways {
  let thread: Thread<TakeAwayRequest> | undefined;
  let last: Making | undefined;
  const work = async (asked: Asked, progress: Int32Array): Promise<Uint8Array> => {
    const { run, name, form } = asked;
    const files = form === 'int8' ? await someOf(images) : [];
    thread ??= startThread<TakeAwayRequest>({ url: new URL('./take-away-worker.js', import.meta.url), name: 'export' });
    return thread.call<Uint8Array>({ run, name, form, images: files, progress });
  };
  const begin = (asked: Asked): Making => {
    const progress = watchProgress((done, total) => (making.done = Math.min(1, done / total)));
    const bytes = work(asked, progress.memory);
    const making: Making = { key: asked.key, bytes, isOver: false, done: null };
    const end = (): void => {
      progress.stop();
      making.isOver = true;
    };
    bytes.then(end, () => {
      end();
      if (last === making) last = undefined;
    });
    return (last = making);
  };
  const askedOf = async (name: string, wanted: string): Promise<Asked> => {
    const form = formOf(wanted),
      { run, version } = await runs.modelOf(name);
    return { run, name, form, key: `${form} ${version} ${name}` };
  };
  return {
    async make(name, form) {
      const asked = await askedOf(name, form);
      if (last?.key !== asked.key && last?.isOver === false)
        throw new PupilError('busy', 'another file is being made; wait until it is there');
      const making = last?.key === asked.key ? last : begin(asked);
      const bytes = await Promise.race([making.bytes, setTimeout(moment, undefined, { ref: false })]);
      return { done: bytes === undefined ? making.done : 1, bytes: bytes?.length ?? null };
    },
    async take(name, form) {
      const { key } = await askedOf(name, form);
      if (last?.key !== key || !last.isOver)
        throw new PupilError('not-found', 'it was not made yet, or another one was since; make it again');
      return last.bytes;
    },
    async close() {
      await thread?.end();
    },
  };
}

function formOf(form: string): TakeAwayForm {
  const found = forms.find((one) => one === form);
  if (found === undefined) throw new PupilError('not-found', `there is no such form; take ${forms.join(', ')}`);
  return found;
}

/** Files of images that are there, taken evenly. Throws `not-found` where there are none. */
async function someOf(images: Images): Promise<string[]> {
  await images.found;
  const there = [...images.paths.keys()].filter((id) => !images.absent.has(id));
  if (there.length === 0) throw new PupilError('not-found', 'no folder of images is open; a smaller model needs some');
  const count = Math.min(mostImages, there.length);
  return Promise.all(
    Array.from({ length: count }, (_, i) => images.fileOf(there[Math.floor((i * there.length) / count)]!)),
  );
}
