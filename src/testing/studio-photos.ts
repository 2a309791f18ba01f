/** Photos of ants and bees for tests of the studio, and waiting for what it does in the background. */
import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { LabelAnswer, LabelChange, StudioImage } from '../studio/protocol.js';
import { temporaryFolder } from './image-files.js';
import type { Window } from './studio-client.js';

const shared = fileURLToPath(new URL('../../../shared/', import.meta.url));
const photos = join(shared, 'data/hymenoptera/train');
export const model = join(shared, 'models/mobilenetv1-0.25-128.onnx');
/** Why tests on these photos cannot run here; false where they can. */
export const skip = existsSync(photos) && existsSync(model) ? false : 'needs ../shared';

/** `each` photos of ants and of bees in one folder; their names say what they are. */
export async function insects(t: TestContext, each: number): Promise<string> {
  const folder = join(await temporaryFolder(t), 'insects');
  mkdirSync(folder);
  for (const name of ['ants', 'bees'])
    for (const file of readdirSync(join(photos, name)).sort().slice(0, each))
      copyFileSync(join(photos, name, file), join(folder, `${name} ${file}`));
  return folder;
}

export const truth = ({ path }: StudioImage): string => path.slice(0, 4);

/** Asks again until it is there. */
export async function until<T>(get: () => Promise<T>, isThere: (value: T) => boolean, seconds = 60): Promise<T> {
  const end = performance.now() + 1000 * seconds;
  let value: T;
  do {
    value = await get();
    if (isThere(value)) return value;
    await sleep(50);
  } while (performance.now() < end);
  throw new Error(`not there after ${seconds} s: ${JSON.stringify(value)?.slice(0, 1000)}`);
}

export const label = (window: Window, changes: readonly Pick<LabelChange, 'id' | 'to'>[]) =>
  window.post<LabelAnswer>(
    '/api/labels',
    changes.map(({ id, to }) => ({ id, was: null, to, source: 'person' })),
  );
