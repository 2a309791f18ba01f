import type { LadderFile, Rung } from '../artifact/formats.js';
import { counted } from '../data/dataset.js';
import type { Block, Words } from './blocks.js';
import { linkOf, type ComparedRow } from './comparison.js';
import { duration } from './format.js';
import { aboutRounds, accuracyOf, accuracyText, gainOf, reportedOf } from './intervals.js';
import { listOf, objectOf, optionalNumberOf, textOf } from './json.js';

/** Reads ladder.json; undefined without a rung. */
export function readLadder(value: unknown): LadderFile | undefined {
  const file = objectOf(value);
  const rungs = listOf(file['rungs']).map(readRung);
  return rungs.length === 0
    ? undefined
    : {
        rungs,
        kept: textOf(file['kept']),
        budgetMinutes: optionalNumberOf(file['budgetMinutes']),
        seconds: optionalNumberOf(file['seconds']),
        stopped: textOf(file['stopped'])?.replaceAll('`', ''),
      };
}

function readRung(value: unknown): Rung {
  const rung = objectOf(value);
  return {
    name: textOf(rung['name']) ?? 'unnamed',
    what: textOf(rung['what']),
    model: textOf(rung['model']),
    reason: textOf(rung['reason'])?.replaceAll('`', ''),
    run: textOf(rung['run']),
    parameters: optionalNumberOf(rung['parameters']),
    seconds: optionalNumberOf(rung['seconds']),
    expectedSeconds: optionalNumberOf(rung['expectedSeconds']),
    selection: accuracyOf(rung['selection']),
    test: reportedOf(rung['test']),
    gain: gainOf(rung['gain']),
    optimistic: rung['optimistic'] === true || undefined,
    kept: rung['kept'] === true,
    skipped: rung['skipped'] === true,
  };
}

const outcome = ({ skipped, kept }: Rung, best: boolean): string =>
  skipped ? 'skipped' : best ? 'final model' : kept ? 'kept' : 'not kept';

/** What each rung brought and what it cost; `links`: reports of rungs by their `run`. */
export function ladderBlocks(
  { rungs, kept, budgetMinutes, seconds, stopped }: LadderFile,
  links: ReadonlyMap<string, string>,
): Block[] {
  const tried = rungs.filter(({ skipped }) => !skipped);
  const best = tried.find(({ name }) => name === kept);
  const first = tried.find(({ selection }) => selection);
  const time =
    seconds === undefined
      ? ''
      : `${duration(seconds)}${budgetMinutes === undefined ? '' : ` of ${duration(60 * budgetMinutes)}`}. `;
  const skipped = rungs.length - tried.length;
  const from: Words[] =
    best?.selection && first?.selection && first !== best
      ? ['From ', { strong: accuracyText(first.selection) }, ` by ${first.name} to `]
      : [];
  const climbed: Words[] = best?.selection
    ? [...from, { strong: accuracyText(best.selection) }, ` by ${best.name}: `]
    : [];
  const count = `${counted(tried.length, 'technique')} tried${skipped > 0 ? `, ${skipped} skipped` : ''}. ${time}`;
  const rule =
    'A technique is kept unless it is worse on held-out images than what came before, beyond the interval.' +
    (tried.some(({ optimistic }) => optimistic) ? ` ${aboutRounds}` : '');
  return [
    { type: 'text', text: [...climbed, count, rule, ...(stopped === undefined ? [] : [` ${sentence(stopped)}`])] },
    {
      type: 'comparison',
      name: 'Technique',
      model: 'Model',
      rows: rungs.map((rung) => comparedRung(rung, rung === best, links)),
    },
  ];
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

function comparedRung(rung: Rung, best: boolean, links: ReadonlyMap<string, string>): ComparedRow {
  const { name, what, model, reason, run, parameters, seconds, expectedSeconds, test, gain, kept, skipped } = rung;
  return {
    name,
    link: linkOf(run, links),
    detail: what ?? model,
    model,
    parameters,
    accuracy: skipped ? undefined : rung.selection,
    test,
    gain,
    instead: `${skipped ? 'skipped' : 'not measured'}${reason === undefined ? '' : `: ${reason}`}`,
    kept,
    best,
    seconds,
    expectedSeconds,
    outcome: outcome(rung, best),
    reason,
  };
}
