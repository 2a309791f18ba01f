/** Runs looked at closely: what they said of images, which of them is better, and what spoke for a class. */
import { startThread, type Thread } from '../threads/thread.js';
import { runFiles } from '../artifact/run-files.js';
import { PupilError } from '../errors.js';
import { independentOf, wilson } from '../evaluate/metrics.js';
import { compare } from '../jobs/compare.js';
import { easierThanOthers, fairPart } from '../report/evaluation.js';
import type { StudioAssistant } from './assistant.js';
import type { Images } from './folder.js';
import type { HeatRequest } from './heat-worker.js';
import type { LabelStore } from './labels.js';
import { idFinder } from './paths.js';
import type { HeldOutImages, RunComparison } from './protocol.js';
import type { Runs } from './runs.js';

export interface RunLook {
  /** Throws `not-found`, `usage`, `bad-data` (no images in common). */
  compare(names: readonly string[]): Promise<RunComparison>;
  heldOut(name: string): Promise<HeldOutImages>;
  /** Labelled images most like one, nearest first. */
  nearest(id: number, count: number): Promise<number[]>;
  /** A JPEG of the image with what spoke for a class in warm colours; default: the most likely one. */
  heat(name: string, id: number, label: string | undefined): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface RunLookOptions {
  readonly images: Images;
  readonly labels: LabelStore;
  readonly assistant: StudioAssistant;
  readonly runs: Runs;
}

export function openRunLook({ images, labels, assistant, runs }: RunLookOptions): RunLook {
  let thread: Thread<HeatRequest> | undefined;
  return {
    async compare(names) {
      if (names.length < 2 || names.length > 8 || new Set(names).size < names.length)
        throw new PupilError('usage', 'two to eight different runs can be compared');
      const paths: string[] = [];
      for (const name of names) paths.push(await runs.pathOf(name));
      const { runs: compared, comparisons, ...size } = await compare(paths);
      const nameOf = (path: string): string => names[paths.indexOf(path)]!;
      return {
        images: size.count,
        runs: compared.map(({ run, top1 }) => ({
          name: nameOf(run),
          accuracy: top1,
          interval: wilson(top1, independentOf(size)),
        })),
        comparisons: comparisons.map(({ run, against, gain, interval, p, onlyFirst, onlySecond }) => ({
          name: nameOf(run),
          against: nameOf(against),
          ...{ gain, interval, p, onlyFirst, onlySecond },
        })),
      };
    },
    async heldOut(name) {
      const path = await runs.pathOf(name);
      const evaluation = await runFiles.evaluation.read(path).catch(() => undefined);
      if (evaluation === undefined) throw new PupilError('not-found', 'the run was not measured yet');
      const idOf = idFinder(images.paths);
      return {
        measuredOn: evaluation.split,
        fair: fairPart(evaluation),
        easier: easierThanOthers(evaluation),
        classes: evaluation.classes,
        images: evaluation.predictions.flatMap(({ path: file, label, predicted, confidence }) => {
          const id = idOf(file);
          return id === undefined ? [] : [{ id, label, predicted, confidence }];
        }),
      };
    },
    async nearest(id, count) {
      const all = await assistant.alike(id, images.paths.length);
      return all.filter((other) => labels.labelOf(other) !== null).slice(0, count);
    },
    async heat(name, id, label) {
      const model = await runs.modelOf(name);
      const image = await images.fileOf(id);
      thread ??= startThread<HeatRequest>({ url: new URL('./heat-worker.js', import.meta.url), name: 'heat maps' });
      return thread.call<Uint8Array>({ ...model, image, name: images.paths[id]!, label });
    },
    async close() {
      await thread?.end();
    },
  };
}
