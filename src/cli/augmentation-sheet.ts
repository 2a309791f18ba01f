import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { writeFileAtomically } from '../artifact/files.js';
import type { MixingSpec } from '../augment/mixing.js';
import { findOp } from '../augment/ops.js';
import { openDataset, openImages } from '../data/dataset.js';
import { isManifest } from '../data/manifest.js';
import { isRemote } from '../http/address.js';
import { reasonOf } from '../data/read.js';
import type { Dataset, Sample } from '../data/sample.js';
import { PupilError } from '../errors.js';
import { decodeSample } from '../evaluate/readers.js';
import { decode } from '../image/decode.js';
import { Random } from '../random.js';
import { drawSheet } from '../report/sheet.js';
import { readPolicy } from '../runs/augmentation.js';
import {
  mixingSheet,
  opSheet,
  opsSheet,
  policySheet,
  type Drawn,
  type LabelledImage,
  type NamedImage,
} from '../jobs/sheets.js';
import { pick } from '../options/option.js';
import type { AugmentOptions } from '../options/tools.js';
import { warnUnreadable } from './result.js';
import { printable } from './table.js';
import type { Terminal } from './terminal.js';

/** Images of a folder that a sheet shows. */
const several = 6;

/** What was drawn, for `--json` and in words. */
interface SheetDrawn {
  readonly result: object;
  readonly text: string;
}

/** Draws the sheet that the options ask for, of an image or a folder of them, into `file`. */
export async function drawAugmentation(
  path: string,
  file: string,
  options: AugmentOptions,
  terminal: Terminal,
): Promise<SheetDrawn> {
  refuseUseless(options);
  const { kind, told, sheet, rows } = await drawing(path, options, terminal);
  const png = await drawSheet(sheet);
  await writeFileAtomically(file, png);
  const { width, height } = sizeOfPng(png);
  return {
    result: { file, width, height, kind, seed: options.seed ?? 0, ...told, rows },
    text: `${file} (${width} x ${height} pixels): ${sheet.title}\n`,
  };
}

/** Whether batches of mixed images are asked for. */
const isMixed = ({ cutmix = 0, mixup = 0 }: AugmentOptions): boolean => cutmix > 0 || mixup > 0;

/** Refuses options that would do nothing, rather than ignore them. Throws `usage`. */
function refuseUseless({ op, policy, magnitude, scale, ...options }: AugmentOptions): void {
  const draws = policy !== undefined || isMixed(options);
  const refuse = (option: string, message: string): never => {
    throw new PupilError('usage', message, { option });
  };
  if (op !== undefined && draws)
    refuse(
      'op',
      `give either \`op\` or ${policy !== undefined ? '`policy`' : '`cutmix` and `mixup`'}: a sheet shows one of them`,
    );
  if (magnitude !== undefined && op === undefined)
    refuse('magnitude', '`magnitude` is of one operation: name it, as in `op: rotate` `magnitude: 9`');
  if (scale !== undefined && draws)
    refuse(
      'scale',
      '`scale` is for sheets of operations; a policy names its own, as in `policy: randaugment:n=2,m=9,scale=paper`',
    );
  if (draws) return;
  for (const name of ['count', 'size', 'erase', 'flip'] as const) {
    if (options[name] !== undefined)
      refuse(name, `\`${name}\` is for draws of a policy: give \`policy\`, such as \`policy: randaugment:n=2,m=9\``);
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
  if (options.seed !== undefined && options.policy === undefined && !isMixed(options) && !(await isCollection(path)))
    throw new PupilError(
      'usage',
      '`seed` is for draws of a policy, and for the choice among many images; leave it out',
      {
        option: 'seed',
      },
    );
  // What is misspelt is said before images are read.
  const op = options.op === undefined ? undefined : findOp(options.op);
  const policy = await readPolicy(options.policy ?? 'none', 'policy');
  const how = { size, seed, flip: options.flip, erase: options.erase };
  if (isMixed(options)) {
    const { classes, images } = await labelledImages(path, seed, terminal);
    const spec: MixingSpec = pick(options, ['cutmix', 'mixup']);
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
  if (isRemote(path)) return true;
  try {
    return (await stat(path)).isDirectory() || isManifest(path) || /\.(tar|parquet)$/i.test(path);
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
      `${path}: one image cannot be mixed; \`cutmix\` and \`mixup\` take a folder with one subfolder per class`,
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
  const unreadable: { path: string; reason: string }[] = [],
    chosen = [];
  for (const sample of queue) {
    if (chosen.length === count) break;
    try {
      chosen.push({ sample, image: await decodeSample(sample) });
    } catch (error) {
      if (!(error instanceof PupilError) || error.code !== 'bad-data') throw error;
      unreadable.push({ path: sample.path, reason: error.message });
    }
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
