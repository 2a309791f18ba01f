import { stat } from 'node:fs/promises';
import { runFiles } from '../../artifact/run-files.js';
import type { Comparison, CompareResult } from '../../jobs/compare.js';
import { compareOptions } from '../../options/tools.js';
import { aboutCopies } from '../../report/evaluation.js';
import { accuracyText } from '../../report/intervals.js';
import { command } from '../command.js';
import { present, refuseExisting } from '../result.js';
import { count, printable, table } from '../table.js';
import { followAlone } from '../training-progress.js';

export const compare = command('compare', 'Compare runs on the same images, image by image.', {
  arguments: {
    '<runs...>':
      'run folders or other models, the first to be compared with; last, labelled images to measure all on ' +
      '(without: those that the runs were measured on)',
  },
  options: compareOptions,
  examples: [
    'pupil compare runs/a runs/b                      on the images that both were measured on',
    'pupil compare runs/a runs/b runs/c newer-photos  on other labelled images',
    'pupil compare runs/a backbone.onnx photos --split val --json',
  ],
  async run({ runs: given }, { json, out, ...options }, terminal) {
    await refuseExisting(out, 'comparison');
    const last = given.at(-1)!;
    const data = given.length > 2 && !(await isModel(last)) ? last : undefined;
    const models = data === undefined ? given : given.slice(0, -1);
    const { compare: start } = await import('../../jobs/compare.js');
    const result = await followAlone((signal) => start(models, data, { ...options, signal }), terminal);
    await present({ result, text: () => describe(result), name: 'comparison' }, { json, out }, terminal);
  },
});

/** Whether an argument is a model rather than images. */
const isModel = async (path: string): Promise<boolean> =>
  /^hf:|\.(onnx|safetensors)$/.test(path) ||
  (await stat(runFiles.config.in(path)).then(
    () => true,
    () => false,
  ));

function describe(result: CompareResult): string {
  const { count: images, independent, runs, comparisons } = result,
    copies = aboutCopies(result),
    size = `${count(images)} images\n${copies === undefined ? '' : `${copies}\n`}`;
  const rows = runs.map(({ run, top1 }) => [printable(run), accuracyText({ top1, count: images, independent })]);
  const learned = runs
    .filter((run) => run.learned !== undefined && run.learned > 0)
    .map(({ run, learned: n }) => `${printable(run)} learned from ${count(n!)} of these images: it is flattered\n`);
  return (
    `${size}\n${table([['run', 'accuracy'], ...rows])}\n` +
    [...learned, ...comparisons.map((one) => verdict(one, images))].join('')
  );
}

/** Points with their sign. */
const points = (share: number): string => `${share < 0 ? '\u2212' : '+'}${Math.abs(100 * share).toFixed(1)}`;

function verdict({ run, against, gain, interval, onlyFirst, onlySecond, p }: Comparison, images: number): string {
  const [low, high] = interval;
  const finding =
    p >= 0.05
      ? `no difference that ${count(images)} images can show`
      : `${printable(gain > 0 ? run : against)} is better`;
  return (
    `${printable(run)} against ${printable(against)}: ${finding}\n` +
    `  ${points(gain)} points, 95% interval ${points(low)} to ${points(high)}, ` +
    `p = ${p < 0.001 ? p.toExponential(0) : p.toFixed(3)}\n` +
    `  right only now: ${count(onlySecond)}; right only before: ${count(onlyFirst)}\n`
  );
}
