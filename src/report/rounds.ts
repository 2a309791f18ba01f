import { duration, parameters } from './format.js';
import type { RoundsFile, StudentRound } from '../artifact/formats.js';
import { html, type Html } from './html.js';
import { accuracyOf, accuracyText, gainOf, gainText, intervalChart, numbersNote } from './intervals.js';
import { listOf, numberOf, objectOf, optional, textOf } from './json.js';

/** Reads rounds.json; undefined without a round. */
export function readRounds(value: unknown): RoundsFile | undefined {
  const file = objectOf(value);
  const rounds = listOf(file['rounds'])
    .map(objectOf)
    .map((round, i): StudentRound => ({
      round: typeof round['round'] === 'number' ? round['round'] : i,
      student: textOf(round['student']) ?? '\u2013',
      seconds: numberOf(round['seconds']),
      ...optional('parameters', numberOf(round['parameters'])),
      ...optional('selection', accuracyOf(round['selection'])),
      ...optional('test', accuracyOf(round['test'])),
      ...optional('gain', gainOf(round['gain'])),
      ...optional('run', textOf(round['run'])),
      ...(typeof round['helped'] === 'boolean' && { helped: round['helped'] }),
    }));
  return rounds.length === 0
    ? undefined
    : { kept: numberOf(file['kept']), rounds, ...optional('stopped', textOf(file['stopped'])) };
}

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
          detail: `${round.student}${round.parameters === undefined ? '' : `, ${parameters(round.parameters)} parameters`}`,
          kept: round.helped ?? round.round === 0,
          best: round === best,
          ...optional('accuracy', round.selection),
          ...optional('test', round.test),
          ...optional('gain', round.gain),
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
                  ${round.student}${round.parameters === undefined ? '' : html`<small>${parameters(round.parameters)} parameters</small>`}
                </td>
                <td class="number">${accuracyText(round.selection)}</td>
                <td class="number">${gainText(round.gain)}</td>
                <td class="number">${accuracyText(round.test)}</td>
                <td class="number">${duration(round.seconds)}</td>
                <td>
                  ${round === best ? 'final model' : round.helped === undefined ? '' : round.helped ? 'better' : 'not better'}
                </td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
}
