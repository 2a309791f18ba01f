import { counted, list } from '../data/dataset.js';
import { reproduce } from '../options/command.js';
import type { RunResult } from '../artifact/formats.js';
import { runFiles } from '../artifact/run-files.js';
import { lineChart, type Series } from './charts.js';
import type { Confusion, Evaluation, Prediction } from './evaluation.js';
import { duration, percent, short } from './format.js';
import type { History } from './history.js';
import { type Figure, figureList, type Html, html, trusted } from './html.js';
import { objectOf } from './json.js';
import { photo, type Picture, type Pictures } from './photo.js';
import type { Section } from './sections.js';
import { style } from './style.js';
import { rowsTable } from './table.js';

export interface PageContents {
  readonly title: string;
  /** run.json */
  readonly config: object;
  /** result.json */
  readonly result: RunResult | undefined;
  readonly history: History;
  readonly evaluation: Evaluation | undefined;
  /** Wrong predictions to show, worst first. */
  readonly mistakes: readonly Prediction[];
  readonly pairs: readonly (Confusion & { readonly examples: readonly Prediction[] })[];
  readonly pictures: Pictures;
  /** What the run's technique has to show. */
  readonly sections: readonly Section[];
  readonly modelBytes: number | undefined;
  /** The first training batch, augmented. */
  readonly preview?: Picture;
}

/** The whole document of a training. */
export function page(contents: PageContents): Html {
  const placed = (place: Section['place']): Html[] =>
    contents.sections
      .filter((section) => section.place === place)
      .map(
        ({ title, body }) =>
          html`<h2>${title}</h2>
            ${body(contents.pictures)}`,
      );
  return document(
    contents.title,
    html`<header>
        <h1>${contents.title}</h1>
        ${headline(contents)}
      </header>
      ${placed('first')} ${curves(contents.history)} ${placed('after curves')}
      ${
        contents.evaluation === undefined
          ? placed('first').length > 0
            ? ''
            : html`<h2>Evaluation</h2>
                <p class="lead">
                  Nothing was measured: no labelled image was held out of training, or the run was interrupted. Give two
                  labels or more of each class, or a val/ folder.
                </p>`
          : evaluated(contents, contents.evaluation)
      }
      ${firstBatch(contents.preview)} ${configuration(contents.config)}`,
  );
}

const firstBatch = (preview: Picture | undefined): Html =>
  preview === undefined
    ? html``
    : html`<h2>The first training batch, augmented</h2>
        <div class="card">
          <img class="sheet" src="${preview.uri}" alt="The images of the first training batch with their labels" />
        </div>`;

/** What a browser may do in a page: draw its own style and images. */
const policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/** A page of its own around `body`: the style sheet, no scripts, no network. */
export const document = (title: string, body: Html): Html =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${trusted(policy)}" />
        <meta name="referrer" content="no-referrer" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} – Pupil report</title>
        <style>
          ${style}
        </style>
      </head>
      <body>
        <main>
          ${body}
          <footer>Written by Pupil. Everything is inside this file.</footer>
        </main>
      </body>
    </html> `;

/** The images that `split` of an evaluation stands for. */
const measuredOn = (split: string | undefined): string =>
  split === 'test'
    ? 'test images'
    : split === 'val'
      ? 'validation images'
      : split === 'held out of train'
        ? 'training images that were held out'
        : 'images';

/** The classes that no image of an evaluation has. */
const withoutImages = ({ classes, perClass }: Evaluation): string[] =>
  classes.filter((name) => Object.hasOwn(perClass, name) && perClass[name]!.count === 0);

function headline({ result, evaluation, history, modelBytes, mistakes }: PageContents): Html {
  const figures: Figure[] = [];
  if (evaluation !== undefined) {
    const wrong = evaluation.count - Math.round(evaluation.top1 * evaluation.count);
    figures.push(['Accuracy', percent(evaluation.top1), `${wrong} of ${short(evaluation.count)} wrong`]);
    if (evaluation.classes.length > 5) figures.push(['Among top 5', percent(evaluation.top5)]);
    figures.push(['Loss', short(evaluation.loss)], ['Calibration error', percent(evaluation.ece)]);
  }
  if (history.epochs > 0) figures.push(['Epochs', String(history.epochs)]);
  if (result !== undefined) figures.push(['Time', duration(result.seconds)]);
  if (modelBytes !== undefined) figures.push([runFiles.model.name, `${(modelBytes / 1e6).toPrecision(3)} MB`]);
  const what =
    evaluation === undefined
      ? ''
      : `Measured on ${short(evaluation.count)} ${measuredOn(evaluation.split)}, ${evaluation.classes.length} classes.`;
  const faultless = mistakes.length === 0 && evaluation !== undefined && evaluation.count > 0;
  const unmeasured = evaluation === undefined ? [] : withoutImages(evaluation);
  return html`<p class="lead">
      ${what}${faultless ? ' Every image was classified correctly.' : ''}
      ${unmeasured.length === 0 ? '' : `Not measured, without an image: ${list(unmeasured)}.`}
      ${
        evaluation !== undefined && evaluation.calibration === undefined
          ? 'Confidences are not calibrated: no labels were held out for that.'
          : ''
      }
    </p>
    ${figureList(figures)}`;
}

function curves({ loss, accuracy, rate }: History): Html {
  const card = (
    title: string,
    series: readonly Series[],
    options: { share?: boolean; logarithmic?: boolean } = {},
  ): Html | undefined => {
    if (series.every(({ points }) => points.length < 2)) return undefined;
    return html`<figure class="card">
      <h3>${title}</h3>
      <ul class="legend">
        ${series
          .filter(({ faint }) => !faint)
          .map(({ name, colour }) => html`<li><i style="color:${colour}"></i>${name}</li>`)}
      </ul>
      ${lineChart(series, { label: title, xLabel: 'epoch', ...options })}
    </figure>`;
  };
  const cards = [card('Loss', loss), card('Accuracy', accuracy, { share: true }), card('Learning rate', rate)].filter(
    (item) => item !== undefined,
  );
  const compared = loss.some(({ name }) => name === 'validation');
  return cards.length === 0
    ? html``
    : html`<h2>Learning curves</h2>
        <p class="lead">
          ${
            compared
              ? 'Training images are augmented, so their loss may be higher than the validation loss. ' +
                'The validation images decide which epoch is kept.'
              : 'Measured on the training images while they are ' + 'augmented.'
          }
        </p>
        <div class="charts">${cards}</div>`;
}

function evaluated(contents: PageContents, evaluation: Evaluation): Html {
  return html`<h2>Classes</h2>
    <div class="card scroll">${perClass(evaluation)}</div>
    <h2>Confusion matrix</h2>
    <p class="lead">Rows: the true class. Columns: the predicted class. Colour shows the share of the row.</p>
    <div class="card scroll">${matrix(evaluation)}</div>
    ${pairs(contents, evaluation)} ${mistakes(contents, evaluation)}`;
}

function perClass({ classes, perClass: metrics }: Evaluation): Html {
  const bar = (value: number, count: number): Html | string =>
    count === 0
      ? '–'
      : html`${percent(value)}<span class="bar"><i style="width:${(100 * value).toFixed(1)}%"></i></span>`;
  const measured = classes.flatMap((name) => {
    const item = Object.hasOwn(metrics, name) ? metrics[name] : undefined;
    return item === undefined ? [] : [{ name, ...item }];
  });
  return html`${rowsTable<(typeof measured)[number]>(
      [
        { title: 'Class', kind: 'value', cell: ({ name }) => name },
        { title: 'Images', kind: 'number', cell: ({ count }) => count },
        { title: 'Recall', kind: 'number', cell: ({ recall, count }) => bar(recall, count) },
        { title: 'Precision', kind: 'number', cell: ({ precision, count }) => bar(precision, count) },
      ],
      measured,
    )}
    <p class="note">
      Recall: of all images of a class, how many were recognised. Precision: of all images predicted as a class, how
      many were right.
    </p>`;
}

/** Beyond this many classes a matrix cannot be read; the confused pairs tell the same. */
const largestMatrix = 60;

function matrix({ classes, confusion }: Evaluation): Html {
  if (classes.length > largestMatrix)
    return html`<p class="note">
      ${classes.length} classes are too many for a table. The most frequent confusions are below.
    </p>`;
  const isFlat = classes.every((name) => name.length <= 4);
  const shape = `matrix${classes.length > 20 ? ' small' : ''}${isFlat ? ' flat' : ''}`;
  return html`<table class="${shape}">
    <thead>
      <tr>
        <td></td>
        ${classes.map((name) => html`<th scope="col" title="${name}"><span>${name}</span></th>`)}
      </tr>
    </thead>
    <tbody>
      ${confusion.map((row, truth) => {
        const total = row.reduce((a, b) => a + b, 0);
        return html`<tr>
          <th scope="row" title="${classes[truth]}">${classes[truth]}</th>
          ${row.map((count, predicted) => {
            const share = total === 0 ? 0 : count / total;
            const tint = count === 0 ? 0.04 : 0.12 + 0.78 * share;
            // White ink where the tint is dark enough for it.
            const ink = tint > 0.6 ? ';color:#fff' : '';
            const none = trusted(count === 0 ? ' class="none"' : '');
            const style = `background:rgb(var(--heat) / ${tint.toFixed(3)})${ink}`;
            const title = `${classes[truth]} predicted as ${classes[predicted]}: ${count} (${percent(share)})`;
            return html`<td${none} style="${style}" title="${title}">${count}</td>`;
          })}
        </tr>`;
      })}
    </tbody>
  </table>`;
}

function pairs({ pairs: list, pictures }: PageContents, { classes }: Evaluation): Html {
  const withImages = list.filter(({ examples }) => examples.length > 0);
  if (withImages.length === 0) return html``;
  return html`<h2>Most frequent confusions</h2>
    <div class="card">
      ${withImages.map(
        ({ truth, predicted, count, examples }) =>
          html`<div class="pair">
            <p>
              ${classes[truth]} predicted as <span class="said">${classes[predicted]}</span><br /><span class="note"
                >${counted(count, 'image')}</span
              >
            </p>
            <div>${examples.map(({ path }) => photo(path, pictures))}</div>
          </div>`,
      )}
    </div>`;
}

function mistakes({ mistakes: list, pictures }: PageContents, { classes }: Evaluation): Html {
  if (list.length === 0) return html``;
  return html`<h2>Worst mistakes</h2>
    <p class="lead">
      Wrong predictions with the highest confidence. Check their labels: some may be wrong in your data.
    </p>
    <div class="mistakes">
      ${list.map(
        ({ path, label, predicted, confidence }) =>
          html`<figure>
            ${photo(path, pictures)}
            <figcaption>
              <span class="said">${classes[predicted]}</span> ${percent(confidence)}<br />is <b>${classes[label]}</b
              ><br />${path.split('/').at(-1)}
            </figcaption>
          </figure>`,
      )}
    </div>`;
}

/** Nested settings as dotted names; lists of plain values on one line, long ones cut. */
function flatten(value: unknown, name: string, rows: [string, string][]): [string, string][] {
  if (Array.isArray(value) && value.every((item) => typeof item !== 'object' || item === null)) {
    const text = value.slice(0, 40).map(String).join(', ');
    rows.push([name, value.length > 40 ? `${text}, and ${value.length - 40} more` : text]);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      // A policy is said by its name; its steps are in run.json.
      flatten(key === 'augment' ? (objectOf(item)['name'] ?? item) : item, name === '' ? key : `${name}.${key}`, rows);
    }
  } else if (value !== undefined && value !== null) {
    rows.push([
      name,
      typeof value === 'number'
        ? Number.isInteger(value)
          ? String(value)
          : short(value)
        : typeof value === 'string'
          ? value
          : JSON.stringify(value),
    ]);
  }
  return rows;
}

/** What a run was told, as tables. */
export function configuration(config: object): Html {
  const groups = new Map<string, [string, string][]>();
  for (const [key, value] of Object.entries(config)) {
    const nested = typeof value === 'object' && value !== null && !Array.isArray(value);
    const group = nested ? key : 'run';
    const rows = groups.get(group) ?? [];
    flatten(value, nested ? '' : key, rows);
    groups.set(group, rows);
  }
  const again = reproduce(config);
  return html`<h2>Configuration</h2>
    ${
      again === undefined
        ? ''
        : html`<p class="lead">
              The command that does the same
              again${again.includes('\u2026/') ? ' (\u2026 stands for your folders)' : ''}:
            </p>
            <pre class="card" style="white-space:pre-wrap;overflow-wrap:anywhere">${again}</pre>`
    }
    ${[...groups]
      .filter(([, rows]) => rows.length > 0)
      .map(([name, rows]) => {
        const table = html`<div class="scroll">
          <table class="rows facts">
            <tbody>
              ${rows.slice(0, 200).map(
                ([key, value]) =>
                  html`<tr>
                    <th scope="row">${key}</th>
                    <td class="value">${value.length > 600 ? `${value.slice(0, 600)}\u2026` : value}</td>
                  </tr>`,
              )}
            </tbody>
          </table>
        </div>`;
        return rows.length > 30
          ? html`<details class="card">
                <summary>${name} (${rows.length})</summary>
                ${table}
              </details>
              <br />`
          : html`<div class="card">
                <h3>${name}</h3>
                ${table}
              </div>
              <br />`;
      })}`;
}
