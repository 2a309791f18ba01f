import { basename, dirname } from 'node:path';
import { writePseudoLabels } from '../../artifact/pseudo-labels.js';
import { json } from '../../artifact/run-files.js';
import type { Pool } from '../../data/pool.js';
import { isLabelled } from '../../data/sample.js';
import {
  describePseudoLabels,
  selectPseudoLabels,
  type PseudoLabelDescription,
  type SelectOptions,
} from '../../data/pseudo-labels.js';
import { assertAccepted, leastForOutliers, pseudoLabelWarnings, reportOutliers } from '../../evaluate/pseudo-labels.js';
import { resolveModel } from '../../models/index.js';
import { originsOf } from '../../models/licence.js';
import type { RunEvent } from '../../runs/events.js';
import { reporting } from '../../runs/relay.js';
import type { TrainOptions } from '../../runs/resolve.js';
import type { Part } from '../parts.js';
import { labelImages } from './images.js';
import { openLabeller, type OpenLabeller } from './labeller.js';

/** Which labels of a teacher are accepted, and whether their probabilities are learned. */
export interface LabelChoice extends SelectOptions {
  readonly soft: boolean;
}

/** What became of the unlabelled images of a part. */
export interface LabelledPart extends PseudoLabelDescription {
  readonly outOfDistribution?: { readonly count: number; readonly paths: readonly string[] } | undefined;
}

export interface LabelPartOptions {
  readonly part: Part;
  /** The run that labels. */
  readonly teacher: string;
  /** Without its ending: `FILE.parquet` and `FILE.json` (its statistics) are written. */
  readonly file: string;
  readonly choice: LabelChoice;
  readonly options: Pick<TrainOptions, 'engine' | 'threads' | 'seed' | 'signal'>;
  /** Where decoded images are shared. */
  readonly pool: Pool;
}

/**
 * Labels the unlabelled images of a part with the model of a finished run, without noise. Images
 * unlike all labelled ones are not accepted. What is there already is not made again.
 */
export async function* labelPart({
  part,
  teacher,
  file,
  choice: { soft, ...choice },
  options,
  pool,
}: LabelPartOptions): AsyncGenerator<RunEvent, LabelledPart, undefined> {
  const statistics = json<LabelledPart>(`${basename(file)}.json`, { schema: 'labelledPart' });
  const before = await statistics.read(dirname(file));
  if (before !== undefined) return before;
  const { samples, classes } = part.data;
  const unlabelled = samples.filter(({ split }) => split === 'unlabelled'),
    labelled = samples.filter(isLabelled);
  const model = await resolveModel(teacher);
  let running: OpenLabeller | undefined;
  try {
    const like = model.head && labelled.length >= leastForOutliers ? labelled : undefined;
    const labeller = (running = yield* openLabeller(model, { ...options, share: true }, pool, like));
    const { labels, unlike } = yield* reporting('labelling', 'images', (onProgress) =>
      labelImages(labeller, unlabelled, { pool, share: true, onProgress, signal: options.signal }),
    );
    const aside = new Set(unlike);
    const isAside = ({ path }: { readonly path: string }): boolean => aside.has(path);
    const chosen = {
      ...selectPseudoLabels(labels, { ...choice, rejected: aside }),
      soft,
      teachers: originsOf(model),
    };
    assertAccepted(chosen);
    // Folds would say the same again and again.
    if (part.name === '') {
      const counts = classes.map((_, c) => labelled.filter(({ label }) => label === c).length);
      for (const message of pseudoLabelWarnings(chosen, counts, isAside)) yield { type: 'warning', message };
      const outliers = unlike && reportOutliers(unlike, chosen.rows.length, true);
      if (outliers !== undefined) yield { type: 'warning', message: outliers };
    }
    await writePseudoLabels(`${file}.parquet`, chosen);
    const truths = new Map(unlabelled.map(({ hash, truth }) => [hash, truth]));
    const isKnown = unlabelled.some(({ truth }) => truth !== undefined);
    const described: LabelledPart = {
      ...describePseudoLabels(chosen, isKnown ? (_, hash) => truths.get(hash) : undefined, isAside),
      outOfDistribution: unlike?.length ? { count: unlike.length, paths: unlike.slice(0, 12) } : undefined,
    };
    await statistics.write(dirname(file), described);
    return described;
  } finally {
    await running?.close();
  }
}
