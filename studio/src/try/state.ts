/** Images that a model is tried on, and what it says of each. */
import { computed, effect, signal } from '@preact/signals';
import type { Prediction } from '../protocol.ts';
import { route } from '../route.ts';
import { of } from '../parts/numbers.ts';
import { isImageFile } from '../parts/dropped.ts';
import { complain, say } from '../state/notices.ts';
import { messageOf, Refused, returned } from '../state/requests.ts';
import { runs } from '../state/runs.ts';
import { predict } from './model.ts';

export interface Tried {
  readonly key: number;
  readonly name: string;
  /** The address of the picture in this window. */
  readonly picture: string;
  readonly said: Prediction | Failed | null;
}

interface Failed {
  readonly failed: string;
  /** Where the studio did not answer: asks again. */
  readonly again?: (() => void) | undefined;
}

export const finished = computed(() => runs.value.filter(({ state }) => state === 'finished'));
/** The run of the address, else the newest. */
export const chosenRun = computed(
  () => finished.value.find(({ name }) => name === route.value.name)?.name ?? finished.value[0]?.name,
);

/** Newest first. */
export const tried = signal<readonly Tried[]>([]);
const most = 24;
let next = 0;

export function tryImages(files: Iterable<File>): void {
  const run = chosenRun.value;
  const all = [...files],
    images = all.filter(isImageFile);
  if (images.length === 0) return complain('These are no images.');
  if (images.length < all.length) say(`${of(all.length - images.length, 'other file')} left out: no images`);
  if (run !== undefined) for (const image of images) void tryOne(run, image);
}

async function tryOne(run: string, image: File): Promise<void> {
  const one: Tried = { key: next++, name: image.name, picture: URL.createObjectURL(image), said: null };
  const all = [one, ...tried.value];
  for (const { picture } of all.slice(most)) URL.revokeObjectURL(picture);
  tried.value = all.slice(0, most);
  const show = (said: Tried['said']): void => {
    tried.value = tried.value.map((other) => (other.key === one.key ? { ...one, said } : other));
  };
  const ask = async (): Promise<void> => {
    show(null);
    const fail = (error: unknown): Failed => {
      const again = error instanceof Refused && error.isPassing ? () => void ask() : undefined;
      return { failed: messageOf(error), again };
    };
    show(await predict(run, image).catch(fail));
  };
  await ask();
}

effect(() => {
  if (returned.value === 0) return;
  for (const { said } of tried.peek()) if (said !== null && 'failed' in said) said.again?.();
});

export function clear(): void {
  for (const { picture } of tried.value) URL.revokeObjectURL(picture);
  tried.value = [];
}
