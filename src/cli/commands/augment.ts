import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { writeFileAtomically } from '../../artifact/files.js';
import type { MixingSpec } from '../../augment/mixing.js';
import { findOp } from '../../augment/ops.js';
import { readAugment } from '../../augment/policy.js';
import { openDataset, openImages } from '../../data/dataset.js';
import { isManifest } from '../../data/manifest.js';
import { createReader, reasonOf } from '../../data/read.js';
import type { Dataset, Sample } from '../../data/sample.js';
import { PupilError } from '../../errors.js';
import { decode } from '../../image/decode.js';
import { Random } from '../../random.js';
import { drawSheet } from '../../report/sheet.js';
import {
  mixingSheet,
  opSheet,
  opsSheet,
  policySheet,
  type Drawn,
  type LabelledImage,
  type NamedImage,
} from '../../jobs/sheets.js';
import type { AugmentOptions } from '../program.js';
import { conclude, warnUnreadable } from '../result.js';
import { printable } from '../table.js';
import type { Terminal } from '../terminal.js';

/** Images of a folder that a sheet shows. */
const several = 6;

/** `pupil augment IMAGE|DIR --out FILE.png`. */
export async function augment(path: string, options: AugmentOptions, terminal: Terminal): Promise<void> {
  const { out, json } = options;
  if (out === undefined) throw new PupilError('usage', 'augment needs --out FILE.png, such as --out sheet.png');
  refuseUseless(options);
  if (await stat(out).catch(() => undefined)) {
    throw new PupilError(
      'exists',
      `--out ${out}: something is there already and is never overwritten; give another name`,
    );
  }
  const { kind, told, sheet, rows } = await drawing(path, options, terminal);
  const png = await drawSheet(sheet);
  await writeFileAtomically(out, png);
  const { width, height } = sizeOfPng(png);
  const result = { file: out, width, height, kind, seed: options.seed ?? 0, ...told, rows };
  conclude(result, `${out} (${width} x ${height} pixels): ${sheet.title}\n`, json, terminal);
}

const mixed = ({ cutmix, mixup }: AugmentOptions): boolean => cutmix !== undefined || mixup !== undefined;

/** Refuses options that would do nothing, rather than pass over them. Throws `usage`. */
function refuseUseless(options: AugmentOptions): void {
  const { op, policy, magnitude, scale, count, size, erase, flip } = options;
  const draws = policy !== undefined || mixed(options);
  const refuse = (message: string): never => {
    throw new PupilError('usage', message);
  };
  if (op !== undefined && draws)
    refuse(
      `give either --op or ${policy !== undefined ? '--policy' : '--cutmix and --mixup'}: a sheet shows one of them`,
    );
  if (magnitude !== undefined && op === undefined)
    refuse('--magnitude is of one op: name it, as in --op rotate --magnitude 9');
  if (scale !== undefined && draws)
    refuse('--scale is for sheets of ops; a policy names its own, as in --policy randaugment:n=2,m=9,scale=paper');
  for (const [name, value] of Object.entries({ count, size, erase, ...(flip === false && { 'no-flip': true }) })) {
    if (value !== undefined && !draws)
      refuse(`--${name} is for draws of a policy: give --policy, such as --policy randaugment:n=2,m=9`);
  }
}

type Kind = 'ops' | 'op' | 'policy' | 'mixing';

interface Drawing extends Drawn<unknown> {
  readonly kind: Kind;
  /** What the rows are to be read by. */
  readonly told: object;
}

async function drawing(path: string, options: AugmentOptions, terminal: Terminal): Promise<Drawing> {
  const { scale = 'torchvision', seed = 0, size = 224 } = options;
  // What is misspelt is said before images are read.
  const op = options.op === undefined ? undefined : findOp(options.op);
  const policy = await readAugment(options.policy ?? 'none');
  const how = {
    size,
    seed,
    ...(options.flip !== undefined && { flip: options.flip }),
    ...(options.erase !== undefined && { erase: options.erase }),
  };
  if (mixed(options)) {
    const { classes, images } = await labelledImages(path, seed, terminal);
    const spec: MixingSpec = {
      ...(options.cutmix !== undefined && { cutmix: options.cutmix }),
      ...(options.mixup !== undefined && { mixup: options.mixup }),
    };
    const batches = Math.max(1, Math.round((options.count ?? 24) / images.length));
    return {
      kind: 'mixing',
      told: { mixing: spec, policy: policy.name, size, classes },
      ...mixingSheet(images, spec, policy, { ...how, batches, classes }),
    };
  }
  if (options.policy !== undefined) {
    const images = await readImages(path, several, seed, terminal);
    const count = options.count ?? (images.length === 1 ? 24 : several);
    return { kind: 'policy', told: { policy: policy.name, size }, ...policySheet(images, policy, { ...how, count }) };
  }
  if (op !== undefined)
    return {
      kind: 'op',
      told: { scale },
      ...opSheet(await readImages(path, several, seed, terminal), op, scale, options.magnitude),
    };
  const [image] = await readImages(path, 1, seed, terminal);
  return { kind: 'ops', told: { scale }, ...opsSheet(image!, scale) };
}

/** Whether the path holds many images. Throws `not-found`. */
async function isCollection(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory() || isManifest(path) || /\.tar$/i.test(path);
  } catch (error) {
    throw new PupilError('not-found', `${path}: ${reasonOf(error)}; give an image, or a folder of images`, {
      cause: error,
    });
  }
}

/**
 * The image at a path, or up to `count` of a collection's, from all of its folders, chosen by the
 * seed.
 */
async function readImages(
  path: string,
  count: number,
  seed: number,
  terminal: Terminal,
): Promise<readonly NamedImage[]> {
  if (!(await isCollection(path)))
    return [{ name: printable(basename(path)), image: await decode(await readFile(path), path) }];
  return (await choose(await openImages([path]), count, seed, terminal)).map(({ sample, image }) => ({
    name: nameIn(path, sample),
    image,
  }));
}

/** Up to six images of a data set, as many of each class as possible. */
async function labelledImages(
  path: string,
  seed: number,
  terminal: Terminal,
): Promise<{ classes: readonly string[]; images: readonly LabelledImage[] }> {
  if (!(await isCollection(path))) {
    throw new PupilError(
      'usage',
      `${path}: one image cannot be mixed; --cutmix and --mixup take a folder with one subfolder per class`,
    );
  }
  const dataset = await openDataset(path);
  const labelled = { ...dataset, samples: dataset.samples.filter(({ label }) => label >= 0) };
  const images = (await choose(labelled, several, seed, terminal)).map(({ sample, image }) => ({
    name: nameIn(path, sample),
    image,
    label: sample.label,
  }));
  return { classes: dataset.classes.map(printable), images };
}

const nameIn = (path: string, sample: Sample): string =>
  printable(
    sample.path.startsWith(path) ? sample.path.slice(path.length).replace(/^[/\\]+/, '') : basename(sample.path),
  );

/**
 * Images that can be decoded, one of each class or folder in turn, drawn by the seed. Throws
 * `bad-data` where there is none.
 */
async function choose(dataset: Dataset, count: number, seed: number, terminal: Terminal) {
  const groups = new Map<string, Sample[]>();
  for (const sample of new Random(seed, 'augment sheet', 'images').shuffle(dataset.samples)) {
    const key = sample.label >= 0 ? String(sample.label) : sample.path.replace(/[^/\\]*$/, '');
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  const ordered = [...groups.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, samples]) => samples);
  const longest = Math.max(0, ...ordered.map((samples) => samples.length));
  const queue = Array.from({ length: longest }, (_, i) => ordered.flatMap((samples) => samples[i] ?? [])).flat();
  const reader = createReader();
  const unreadable: { path: string; reason: string }[] = [],
    chosen = [];
  try {
    for (const sample of queue) {
      if (chosen.length === count) break;
      const { source, path } = sample;
      try {
        chosen.push({
          sample,
          image: source.kind === 'pixels' ? source.image : await decode(reader.read(source, path), path),
        });
      } catch (error) {
        if (!(error instanceof PupilError)) throw error;
        unreadable.push({ path, reason: error.message });
      }
    }
  } finally {
    reader.close();
  }
  warnUnreadable(unreadable, terminal);
  if (chosen.length === 0) throw new PupilError('bad-data', `${dataset.path}: no image in it can be read`);
  return chosen;
}

/** From the header of a PNG file. */
function sizeOfPng(png: Uint8Array): { width: number; height: number } {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  return { width: view.getUint32(16), height: view.getUint32(20) };
}
