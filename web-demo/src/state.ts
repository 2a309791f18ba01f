/** What the page holds: photos by class, and those without one; kept in the browser where that can be. */
import { computed, effect, signal } from '@preact/signals';
import { isImageFile } from '../../studio/src/parts/dropped.ts';
import { complain } from '../../studio/src/state/notices.ts';
import { asked, usual } from './backbone.ts';
import { openKeeper, sessionFile, type Keeper, type Outcome, type Session } from './kept.ts';

export interface Photo {
  /** Unlike any other, also the name of its file. */
  readonly key: number;
  readonly file: Blob;
  /** The address of the picture in this window. */
  readonly picture: string;
}

export interface ClassOfPhotos {
  readonly key: number;
  readonly name: string;
  readonly photos: readonly Photo[];
}

let keys = 0;
const fresh = (name: string, photos: readonly Photo[] = []): ClassOfPhotos => ({ key: keys++, name, photos });
const usualClasses = (): ClassOfPhotos[] => [fresh('Class 1'), fresh('Class 2')];

export const classes = signal<readonly ClassOfPhotos[]>(usualClasses());
/** Photos without a label: the consensus works theirs out. */
export const others = signal<readonly Photo[]>([]);
export const address = signal((asked ?? usual).address);
export const isTraining = signal(false);
/** What is known of the trained model. */
export const outcome = signal<Outcome | null>(null);
/** Where all of it is kept; null: nowhere. */
export const keeper = signal<Keeper | null>(null);
/** Whether something of it would be lost if the page were closed now. */
export const isKeeping = signal(false);

const change = (key: number, to: (one: ClassOfPhotos) => ClassOfPhotos): void => {
  classes.value = classes.value.map((one) => (one.key === key ? to(one) : one));
};
export const addClass = (): void => {
  classes.value = [...classes.value, fresh(`Class ${classes.value.length + 1}`)];
};
export const rename = (key: number, name: string): void => change(key, (one) => ({ ...one, name }));
export function removeClass(key: number): void {
  for (const { photos } of classes.value.filter((one) => one.key === key)) photos.forEach(forget);
  classes.value = classes.value.filter((one) => one.key !== key);
}

const photoOf = (key: number, file: Blob): Photo => ({ key, file, picture: URL.createObjectURL(file) });

function taken(files: Iterable<Blob>): Photo[] {
  const photos = [...files]
    .filter((file) => !(file instanceof File) || isImageFile(file))
    .map((file) => photoOf(keys++, file));
  for (const { key, file } of photos) keeper.value?.write(String(key), file);
  return photos;
}

function forget({ key, picture }: Photo): void {
  URL.revokeObjectURL(picture);
  keeper.value?.remove(String(key));
}

const without = (photos: readonly Photo[], key: number): Photo[] => photos.filter((photo) => photo.key !== key);

/** To a class, or without a label. */
export function addPhotos(to: number | null, files: Iterable<Blob>): void {
  const added = taken(files);
  if (to === null) others.value = [...others.value, ...added];
  else change(to, (one) => ({ ...one, photos: [...one.photos, ...added] }));
}

export function removePhoto(photo: Photo): void {
  forget(photo);
  others.value = without(others.value, photo.key);
  classes.value = classes.value.map((one) => ({ ...one, photos: without(one.photos, photo.key) }));
}

/** Gives a photo without a label one. */
export function label(photo: Photo, to: ClassOfPhotos): void {
  others.value = without(others.value, photo.key);
  change(to.key, (one) => ({ ...one, photos: [...one.photos, photo] }));
}

/** Whether it was not removed meanwhile. */
export const isHeld = (photo: Photo): boolean =>
  [others.value, ...classes.value.map(({ photos }) => photos)].some((photos) => photos.includes(photo));

/** What is missing before one can train; null: nothing. */
export const missing = computed(() => {
  const filled = classes.value.filter(({ photos }) => photos.length > 0);
  if (filled.length < 2) return 'Give photos of two classes.';
  const names = filled.map(({ name }) => name.trim());
  if (names.includes('')) return 'Name every class.';
  if (new Set(names).size < names.length) return 'Give each class its own name.';
  return null;
});

const session = computed<Session>(() => {
  const named = (photos: readonly Photo[]): string[] => photos.map(({ key }) => String(key));
  return {
    classes: classes.value.map(({ name, photos }) => ({ name, photos: named(photos) })),
    others: named(others.value),
    address: address.value,
    isTraining: isTraining.value,
    model: outcome.value,
  };
});

/** Brings back what was kept, and keeps what changes from now on. */
export async function restore(): Promise<void> {
  const opened = await openKeeper({
    onFailure: (error) => complain(`The browser keeps no more: ${(error as Error).message}`),
    onWaiting: (count) => (isKeeping.value = count > 0),
  });
  if (opened === undefined) return;
  addEventListener('beforeunload', (event) => {
    if (isKeeping.value) event.preventDefault(); // the browser asks whether to leave
  });
  if (opened.session !== undefined) await bringBack(opened, opened.session);
  keeper.value = opened;
  effect(() => opened.write(sessionFile, session.value));
}

async function bringBack({ read }: Keeper, kept: Session): Promise<void> {
  const photosOf = async (names: readonly string[]): Promise<Photo[]> => {
    const found = await Promise.all(
      names.map((name) =>
        read(name).then(
          (file) => [photoOf(Number(name), file)],
          () => [],
        ),
      ),
    );
    return found.flat();
  };
  const all = [...kept.others, ...kept.classes.flatMap(({ photos }) => photos)].map(Number);
  keys = Math.max(keys, ...all.map((key) => key + 1));
  others.value = await photosOf(kept.others);
  const found = await Promise.all(kept.classes.map(async ({ name, photos }) => fresh(name, await photosOf(photos))));
  classes.value = found.length < 2 ? usualClasses() : found;
  if (asked === undefined) address.value = kept.address;
  outcome.value = kept.model;
  isTraining.value = kept.isTraining;
}

/** Forgets all photos. */
export async function clearPhotos(): Promise<void> {
  for (const { picture } of [...others.value, ...classes.value.flatMap(({ photos }) => photos)])
    URL.revokeObjectURL(picture);
  await keeper.value?.clear();
  others.value = [];
  classes.value = usualClasses();
}
