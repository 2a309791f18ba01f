/** Small image files and folders for tests. */
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { TestContext } from 'node:test';
import { pack } from 'tar-stream';
import { encodePng } from '../image/decode.js';
import type { Image } from '../image/image.js';
import { Random } from '../random.js';

/** An image of seeded noise, which no other seed repeats. */
export function noise(seed: number, width = 24, height = 20): Image {
  const random = new Random(seed, 'noise');
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, () => random.integer(256)) };
}

/** The PNG file of `noise(seed)`. */
export const noisePng = (seed: number, width?: number, height?: number): Promise<Uint8Array> =>
  encodePng(noise(seed, width, height));

/**
 * Noise of 16x16 pixels with more of one channel (0 red, 1 green, 2 blue): classes of such images
 * are easily learned, the less easily the less `more` is.
 */
export function blob(channel: number, seed: number, more = 80): Image {
  const random = new Random(seed, 'blob', channel);
  const data = Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => random.integer(150) + (i % 3 === channel ? more : 0));
  return { width: 16, height: 16, data };
}

const users = new WeakMap<TestContext, (() => Promise<void>)[]>();

/** Ends what uses the folders of a test before they are deleted, the latest first. */
export function endAfter(t: TestContext, end: () => Promise<void>): void {
  const known = users.get(t);
  users.set(t, [end, ...(known ?? [])]);
  if (known === undefined) t.after(() => endUsers(t));
}

async function endUsers(t: TestContext): Promise<void> {
  for (const end of users.get(t)?.splice(0) ?? []) await end();
}

/** A folder that is deleted after the test. */
export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pupil-test-'));
  t.after(async () => {
    await endUsers(t);
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });
  return folder;
}

/**
 * Writes files below `root`: a number is the PNG of that seed, a text or bytes are written as they
 * are, null makes a folder.
 */
export async function writeTree(
  root: string,
  files: Readonly<Record<string, number | string | Uint8Array | null>>,
): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(root, name);
    await mkdir(content === null ? path : dirname(path), { recursive: true });
    if (content !== null) await writeFile(path, typeof content === 'number' ? await noisePng(content) : content);
  }
}

/** Packs files as `writeTree` writes them into an archive, each name behind `prefix`. */
export async function writeTar(
  path: string,
  files: Readonly<Record<string, number | string | Uint8Array | null>>,
  prefix = '',
): Promise<void> {
  const archive = pack();
  const written = pipeline(archive, createWriteStream(path));
  for (const [name, content] of Object.entries(files)) {
    if (content === null) archive.entry({ name: prefix + name, type: 'directory' });
    else
      archive.entry(
        { name: prefix + name },
        Buffer.from(typeof content === 'number' ? await noisePng(content) : content),
      );
  }
  archive.finalize();
  await written;
}
