import { duration, parameters } from './format.js';
import type { LadderFile, Rung } from '../artifact/formats.js';
import { html, type Html } from './html.js';
import { accuracyOf, accuracyText, gainOf, gainText, intervalChart, numbersNote } from './intervals.js';
import { listOf, numberOf, objectOf, optional, textOf } from './json.js';

/** Reads ladder.json; undefined without a rung. */
export function readLadder(value: unknown): LadderFile | undefined {
  const file = objectOf(value);
  const rungs = listOf(file['rungs']).map(readRung);
  return rungs.length === 0
    ? undefined
    : {
        rungs,
        ...optional('kept', textOf(file['kept'])),
        ...optional('budgetMinutes', numberOf(file['budgetMinutes'])),
        ...optional('seconds', numberOf(file['seconds'])),
      };
}

function readRung(value: unknown): Rung {
  const rung = objectOf(value);
  const text = <K extends string>(name: K): { readonly [key in K]?: string } => optional(name, textOf(rung[name]));
  const number = <K extends string>(name: K): { readonly [key in K]?: number } => optional(name, numberOf(rung[name]));
  return {
    name: textOf(rung['name']) ?? 'unnamed',
    ...text('what'),
    ...text('model'),
    ...text('reason'),
    ...text('run'),
    ...number('parameters'),
    ...number('seconds'),
    ...number('expectedSeconds'),
    ...optional('selection', accuracyOf(rung['selection'])),
    ...optional('test', accuracyOf(rung['test'])),
    ...optional('gain', gainOf(rung['gain'])),
    kept: rung['kept'] === true,
    skipped: rung['skipped'] === true,
  };
}

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
          ...optional('detail', rung.what ?? rung.model),
          ...optional('accuracy', rung.skipped ? undefined : rung.selection),
          ...optional('test', rung.test),
          ...optional('gain', rung.gain),
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
                  ${rung.model ?? '\u2013'}${rung.parameters === undefined ? '' : html`<small>${parameters(rung.parameters)} parameters</small>`}
                </td>
                <td class="number">${accuracyText(rung.selection)}</td>
                <td class="number">${gainText(rung.gain)}</td>
                <td class="number">${accuracyText(rung.test)}</td>
                <td class="number">
                  ${rung.seconds === undefined ? '\u2013' : duration(rung.seconds)}${rung.expectedSeconds === undefined ? '' : html`<small>expected ${duration(rung.expectedSeconds)}</small>`}
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
