import type { RoundsFile, StudentRound } from '../artifact/formats.js';
import type { Block, Words } from './blocks.js';
import { linkOf, type ComparedRow } from './comparison.js';
import { parameters } from './format.js';
import { accuracyOf, accuracyText, gainOf, reportedOf } from './intervals.js';
import { listOf, numberOf, objectOf, optionalNumberOf, textOf } from './json.js';

/** Reads rounds.json; undefined without a round. */
export function readRounds(value: unknown): RoundsFile | undefined {
  const file = objectOf(value);
  const rounds = listOf(file['rounds'])
    .map(objectOf)
    .map((round, i): StudentRound => ({
      round: typeof round['round'] === 'number' ? round['round'] : i,
      student: textOf(round['student']) ?? '\u2013',
      seconds: numberOf(round['seconds']),
      parameters: optionalNumberOf(round['parameters']),
      selection: accuracyOf(round['selection']),
      test: reportedOf(round['test']),
      gain: gainOf(round['gain']),
      run: textOf(round['run']),
      helped: typeof round['helped'] === 'boolean' ? round['helped'] : undefined,
    }));
  return rounds.length === 0 ? undefined : { kept: numberOf(file['kept']), rounds, stopped: textOf(file['stopped']) };
}

const outcomeOf = ({ helped }: StudentRound, isBest: boolean): string => {
  if (isBest) return 'final model';
  return helped === undefined ? '' : helped ? 'better' : 'not better';
};

/** Students of self-training, each taught by the best before. */
export function roundsBlocks({ kept, rounds, stopped }: RoundsFile, links: ReadonlyMap<string, string>): Block[] {
  const first = rounds.find(({ selection }) => selection),
    best = rounds.find(({ round }) => round === kept);
  const climbed: Words[] =
    best?.selection && first?.selection && first !== best
      ? [
          ...['From ', { strong: accuracyText(first.selection) }, ' to ', { strong: accuracyText(best.selection) }],
          ` in round ${best.round}. `,
        ]
      : [];
  const rule =
    "In each round, a student learns from the labelled images and from its teacher's labels for the others. " +
    'If it is better than its teacher, it becomes the teacher of the next round.';
  return [
    { type: 'text', text: [...climbed, rule] },
    {
      type: 'comparison',
      name: 'Round',
      model: 'Student',
      rows: rounds.map((round) => comparedRound(round, round === best, links)),
      note: stopped === undefined ? '' : ` Stopped: ${stopped}.`,
    },
  ];
}

function comparedRound(one: StudentRound, best: boolean, links: ReadonlyMap<string, string>): ComparedRow {
  const { round, student, selection, test, gain, helped, seconds, run } = one;
  const size = one.parameters === undefined ? '' : `, ${parameters(one.parameters)} parameters`;
  return {
    name: round === 0 ? 'first teacher' : `round ${round}`,
    link: linkOf(run, links),
    detail: `${student}${size}`,
    model: student,
    parameters: one.parameters,
    accuracy: selection,
    test,
    gain,
    kept: helped ?? round === 0,
    best,
    seconds,
    outcome: outcomeOf(one, best),
  };
}
