import { duration, parameters } from './format.js';
import type { LadderFile, Rung } from '../artifact/formats.js';
import { html, small, type Html } from './html.js';
import { accuracyOf, accuracyText, gainOf, gainText, intervalChart, numbersNote } from './intervals.js';
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
      };
}

function readRung(value: unknown): Rung {
  const rung = objectOf(value);
  return {
    name: textOf(rung['name']) ?? 'unnamed',
    what: textOf(rung['what']),
    model: textOf(rung['model']),
    reason: textOf(rung['reason']),
    run: textOf(rung['run']),
    parameters: optionalNumberOf(rung['parameters']),
    seconds: optionalNumberOf(rung['seconds']),
    expectedSeconds: optionalNumberOf(rung['expectedSeconds']),
    selection: accuracyOf(rung['selection']),
    test: accuracyOf(rung['test']),
    gain: gainOf(rung['gain']),
    kept: rung['kept'] === true,
    skipped: rung['skipped'] === true,
  };
}

const took = ({ seconds }: Rung): string => (seconds === undefined ? '\u2013' : duration(seconds));

const outcome = ({ skipped, kept }: Rung, best: boolean): string =>
  skipped ? 'skipped' : best ? 'final model' : kept ? 'kept' : 'not kept';

/** What each rung brought and what it cost; `links`: reports of rungs by their `run`. */
export function ladderBody(
  { rungs, kept, budgetMinutes, seconds }: LadderFile,
  links: ReadonlyMap<string, string>,
): Html {
  const tried = rungs.filter(({ skipped }) => !skipped);
  const best = tried.find(({ name }) => name === kept);
  const linked = (rung: Rung): Html | string => {
    const target = rung.run === undefined ? undefined : links.get(rung.run);
    return target === undefined ? rung.name : html`<a href="${target}">${rung.name}</a>`;
  };
  const first = tried.find(({ selection }) => selection);
  const time =
    seconds === undefined
      ? ''
      : `${duration(seconds)}${budgetMinutes === undefined ? '' : ` of ${duration(60 * budgetMinutes)}`}. `;
  const skipped = rungs.length - tried.length;
  const climbed =
    best?.selection && first?.selection && first !== best
      ? html`From <b>${accuracyText(first.selection)}</b> by ${first.name} to <b>${accuracyText(best.selection)}</b> by
          ${best.name}: `
      : best?.selection
        ? html`<b>${accuracyText(best.selection)}</b> by ${best.name}: `
        : '';
  return html`<p class="lead">
      ${climbed}${tried.length} ${tried.length === 1 ? 'technique' : 'techniques'}
      tried${skipped > 0 ? `, ${skipped} skipped` : ''}. ${time}A technique is kept only if it raises the accuracy on
      held-out images.
    </p>
    <div class="card">
      ${intervalChart(
        rungs.map((rung) => ({
          name: linked(rung),
          kept: rung.kept,
          best: rung === best,
          detail: rung.what ?? rung.model,
          accuracy: rung.skipped ? undefined : rung.selection,
          test: rung.test,
          gain: rung.gain,
          instead: `${rung.skipped ? 'skipped' : 'not measured'}${rung.reason === undefined ? '' : `: ${rung.reason}`}`,
        })),
      )}
      <p class="note">${numbersNote(tried)}</p>
    </div>
    <div class="card scroll">
      <table class="rows">
        <thead>
          <tr>
            <th>Technique</th>
            <th>Model</th>
            <th class="number">Accuracy</th>
            <th class="number">Gain</th>
            <th class="number">Test</th>
            <th class="number">Time</th>
            <th>Outcome</th>
          </tr>
        </thead>
        <tbody>
          ${rungs.map(
            (rung) =>
              html`<tr>
                <td class="value">${rung === best ? html`<b>${linked(rung)}</b>` : linked(rung)}</td>
                <td class="value">
                  ${rung.model ?? '\u2013'}${small(rung.parameters, (count) => `${parameters(count)} parameters`)}
                </td>
                <td class="number">${accuracyText(rung.selection)}</td>
                <td class="number">${gainText(rung.gain)}</td>
                <td class="number">${accuracyText(rung.test)}</td>
                <td class="number">
                  ${took(rung)}${small(rung.expectedSeconds, (estimate) => `expected ${duration(estimate)}`)}
                </td>
                <td>
                  ${outcome(rung, rung === best)}${rung.reason === undefined ? '' : html`<small>${rung.reason}</small>`}
                </td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
}
