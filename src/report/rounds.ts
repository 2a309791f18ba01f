import { duration, parameters } from './format.js';
import type { RoundsFile, StudentRound } from '../artifact/formats.js';
import { html, small, type Html } from './html.js';
import { accuracyOf, accuracyText, gainOf, gainText, intervalChart, numbersNote } from './intervals.js';
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
      test: accuracyOf(round['test']),
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
export function roundsBody({ kept, rounds, stopped }: RoundsFile, links: ReadonlyMap<string, string>): Html {
  const linked = ({ round, run }: StudentRound): Html | string => {
    const name = round === 0 ? 'first teacher' : `round ${round}`,
      target = run === undefined ? undefined : links.get(run);
    return target === undefined ? name : html`<a href="${target}">${name}</a>`;
  };
  const first = rounds.find(({ selection }) => selection),
    best = rounds.find(({ round }) => round === kept);
  const climbed =
    best?.selection && first?.selection && first !== best
      ? html`From <b>${accuracyText(first.selection)}</b> to <b>${accuracyText(best.selection)}</b> in round
          ${best.round}. `
      : '';
  return html`<p class="lead">
      ${climbed}In each round, a student learns from the labelled images and from its teacher's labels for the others.
      If it is better than its teacher, it becomes the teacher of the next round.
    </p>
    <div class="card">
      ${intervalChart(
        rounds.map((round) => ({
          name: linked(round),
          detail:
            round.student + (round.parameters === undefined ? '' : `, ${parameters(round.parameters)} parameters`),
          kept: round.helped ?? round.round === 0,
          best: round === best,
          accuracy: round.selection,
          test: round.test,
          gain: round.gain,
        })),
      )}
      <p class="note">${numbersNote(rounds)}${stopped === undefined ? '' : ` Stopped: ${stopped}.`}</p>
    </div>
    <div class="card scroll">
      <table class="rows">
        <thead>
          <tr>
            <th>Round</th>
            <th>Student</th>
            <th class="number">Accuracy</th>
            <th class="number">Gain</th>
            <th class="number">Test</th>
            <th class="number">Time</th>
            <th>Outcome</th>
          </tr>
        </thead>
        <tbody>
          ${rounds.map(
            (round) =>
              html`<tr>
                <td class="value">${round === best ? html`<b>${linked(round)}</b>` : linked(round)}</td>
                <td class="value">
                  ${round.student}${small(round.parameters, (count) => `${parameters(count)} parameters`)}
                </td>
                <td class="number">${accuracyText(round.selection)}</td>
                <td class="number">${gainText(round.gain)}</td>
                <td class="number">${accuracyText(round.test)}</td>
                <td class="number">${duration(round.seconds)}</td>
                <td>${outcomeOf(round, round === best)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
}
