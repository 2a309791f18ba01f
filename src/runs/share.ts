/** Machines that train one network through a shared folder: what they have to have alike. */
import { createHash } from 'node:crypto';
import type { Run } from '../artifact/run.js';
import { agree, nameMachine } from '../artifact/shared-folder.js';
import type { PseudoLabels } from '../data/pseudo-labels.js';
import type { Dataset } from '../data/sample.js';
import { PupilError } from '../errors.js';
import { hashOfModel } from '../models/hash.js';
import type { Model } from '../models/model.js';
import type { Options } from '../options/option.js';
import { trainingOptions } from '../options/training.js';
import type { Ranks } from '../parallel/ranks.js';
import type { TeacherModel } from '../techniques/teacher.js';
import { version } from '../version.js';
import { hashesOf } from './ranks.js';
import type { Settings } from './resolve.js';

/** This machine's part in a training of several. */
export interface Sharing {
  readonly folder: string;
  /** Its name, which it keeps when its run goes on. */
  readonly machine: string;
  /** The hash of what all have agreed on. */
  readonly training: string;
}

/**
 * Takes part in the training in the folder `share`, or begins it; undefined where none is given. A run that goes on
 * keeps its name. Throws `usage` or `bad-data` where that is another training, `usage` for several ranks.
 */
export async function takePart({
  command,
  settings,
  data,
  model,
  teachers,
  pseudoLabels,
  resumed,
  ranks,
}: {
  readonly command: string;
  readonly settings: Settings;
  readonly data: { readonly dataset: Dataset };
  readonly model: Model;
  readonly teachers: readonly TeacherModel[];
  readonly pseudoLabels: PseudoLabels | undefined;
  readonly resumed: Run | undefined;
  readonly ranks: Ranks;
}): Promise<Sharing | undefined> {
  const { share: folder } = settings;
  if (folder === undefined) return undefined;
  if (ranks.size > 1)
    throw new PupilError(
      'usage',
      `\`share\` is for machines that are started one by one, not for ${ranks.size} ranks; leave it out, or start ` +
        'without mpirun',
      { option: 'share' },
    );
  const { hash: images, filesHash: names } = hashesOf(data.dataset);
  const options = comparable(settings);
  return {
    folder,
    machine: resumed?.config.machine ?? nameMachine(),
    training: await agree(folder, {
      version,
      command,
      images,
      names,
      network: hashOfModel(model),
      teaching: hashOfTeaching(teachers, pseudoLabels),
      options,
    }),
  };
}

function hashOfTeaching(
  teachers: readonly TeacherModel[],
  { rows = [], soft = false }: Partial<PseudoLabels> = {},
): string {
  const hash = createHash('sha256');
  for (const { model } of teachers) hash.update(`${hashOfModel(model)}\n`);
  for (const { hash: image, label, copies, probabilities } of rows) {
    hash.update(`${image} ${label} ${copies}\n`);
    if (soft) hash.update(new Uint8Array(probabilities.buffer, probabilities.byteOffset, probabilities.byteLength));
  }
  return hash.digest('hex').slice(0, 32);
}

/** Options that say what is computed: not where, nor how fast, nor where files are, which hashes tell apart. */
function comparable(settings: Settings): Record<string, unknown> {
  const table: Options = trainingOptions;
  const names = Object.keys(table).filter((name) => {
    const { machine, renewable, unsaved, kind } = table[name]!;
    return !machine && !renewable && !unsaved && !kind.isPath;
  });
  const all = settings as unknown as Readonly<Record<string, unknown>>;
  return Object.fromEntries(names.sort().flatMap((name) => (all[name] === undefined ? [] : [[name, all[name]]])));
}
