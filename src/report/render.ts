/** Blocks as HTML. */
import { counted } from '../data/dataset.js';
import { imagesOf, type Block, type BlockOf, type Cell, type Chart } from './blocks.js';
import type { CellImages, Drawing, Page, Section, Words } from './blocks.js';
import { histogram, lineChart, reliabilityChart } from './charts.js';
import { comparison } from './comparison.js';
import { document } from './document.js';
import { percent } from './format.js';
import { heatMap, rankedChart } from './heat-map.js';
import { figureList, html, trusted, type Html } from './html.js';
import { legend, seriesLegend } from './legend.js';
import { photo, type Pictures } from './photo.js';
import { fileName } from './places.js';
import { panels } from './scatter.js';
import { bars, strips } from './strips.js';
import { rowsTable } from './table.js';

/** The whole document of a page. */
export const renderPage = ({ title, head, sections }: Page, pictures: Pictures): Html =>
  document(
    title,
    html`<header>
        <h1>${title}</h1>
        ${renderSection({ blocks: head }, pictures)}
      </header>
      ${sections.map((section) => renderSection(section, pictures))}`,
  );

export const renderSection = ({ title, blocks }: Section, pictures: Pictures): Html =>
  html`${title === undefined ? '' : html`<h2>${title}</h2>`} ${blocks.map((block) => renderBlock(block, pictures))}`;

function renderBlock(block: Block, pictures: Pictures): Html {
  switch (block.type) {
    case 'heading':
      return html`<h3 class="apart">${block.text}</h3>`;
    case 'text':
      return html`<p class="${block.isNote ? 'note' : 'lead'}">
        ${typeof block.text === 'string' ? block.text : block.text.map(words)}
      </p>`;
    case 'figures':
      return figureList(block.figures);
    case 'charts':
      return html`<div class="${block.charts.length === 1 ? 'charts one' : 'charts'}">${block.charts.map(chart)}</div>`;
    case 'multiples':
      return html`<div class="card">${multiples(block)}</div>`;
    case 'strips':
      return html`<div class="card">${strips(block)}</div>`;
    case 'reliability':
      return html`<div class="charts one">
        <figure class="card">
          ${reliabilityChart(block.bins)}
          <figcaption class="note">${block.note}</figcaption>
        </figure>
      </div>`;
    case 'table':
      return html`<div class="card">${table(block)}</div>`;
    case 'comparison':
      return comparison(block);
    case 'drawing':
      return html`<figure class="card scroll">${trusted(svgOf(block.drawing))}</figure>`;
    case 'photos':
      return html`<div class="mistakes">
        ${block.images.map(
          ({ path, lines }) =>
            html`<figure>
              ${photo(path, pictures)}
              <figcaption>${lines.map((line, i) => html`${i === 0 ? '' : html`<br />`}${words(line)}`)}</figcaption>
            </figure>`,
        )}
      </div>`;
    case 'groups':
      return groups(block, pictures);
    case 'matrix':
      return html`<div class="card scroll">${matrix(block)}</div>`;
    case 'cells':
      return html`<div class="card">${block.cells.map((cell) => cellImages(cell, block.classes, pictures))}</div>`;
    case 'judged':
      return judged(block, pictures);
    case 'lists':
      return html`<div class="card">
        ${block.lists.map(
          ({ title, lines }) =>
            html`<h3>${title}</h3>
              <ul>
                ${lines.map((line) => html`<li>${line}</li>`)}
              </ul>`,
        )}
      </div>`;
    case 'facts':
      return html`${block.groups.map(facts)}`;
    case 'command':
      return html`<pre class="card command">${block.command}</pre>`;
    case 'picture':
      return html`<div class="card"><img class="sheet" src="${block.picture.uri}" alt="${block.alt}" /></div>`;
    case 'folded':
      return html`<details class="earlier">
        <summary>${block.title}</summary>
        ${block.blocks.map((part) => renderBlock(part, pictures))}
      </details>`;
    case 'pictured':
      return imagesOf(block.blocks).some((path) => pictures.has(path))
        ? html`${block.blocks.map((part) => renderBlock(part, pictures))}`
        : html`<p class="note">${block.instead}</p>`;
  }
}

const judged = ({ images }: BlockOf<'judged'>, pictures: Pictures): Html =>
  html`<div class="mistakes">
    ${images.map(
      ({ path, label, predicted, confidence, explained }) =>
        html`<figure>
          ${photo(path, pictures)} ${explained === undefined ? '' : photo(explained, pictures)}
          <figcaption>
            <span class="said">${predicted}</span> ${percent(confidence)}<br />is <b>${label}</b><br />${fileName(path)}
          </figcaption>
        </figure>`,
    )}
  </div>`;

function chart(drawn: Chart): Html {
  if ('series' in drawn) {
    const { title, series, options } = drawn;
    return html`<figure class="card">
      <h3>${title}</h3>
      ${seriesLegend(series)} ${lineChart(series, { label: title, xLabel: 'epoch', ...options })}
    </figure>`;
  }
  const { title, histogram: series, options } = drawn;
  const mark = options.mark && ({ name: options.mark.name, colour: 'var(--soft)', shape: 'dashed' } as const);
  return html`<figure class="card">
    <h3>${title}</h3>
    ${legend([...series, ...(mark ? [mark] : [])])} ${histogram(series, options)}
  </figure>`;
}

function multiples({ charts, options, note }: BlockOf<'multiples'>): Html {
  return html`${seriesLegend(charts.flatMap(({ series }) => series))}
    <div class="multiples" style="max-width:${14 * charts.length}rem">
      ${charts.map(
        ({ title, series, caption }) =>
          html`<figure>
            <h4 title="${title}">${title}</h4>
            ${lineChart(series, { label: title, xLabel: 'epoch', ...options, small: true })}
            <figcaption>${caption}</figcaption>
          </figure>`,
      )}
    </div>
    <p class="note">${note}</p>`;
}

/** Up to so many classes have a line each, more stand beside each other. */
const mostLines = 12;

function groups({ groups: classes }: BlockOf<'groups'>, pictures: Pictures): Html {
  const isMany = classes.length > mostLines;
  return html`<div class="${isMany ? 'card tiles' : 'card'}">
    ${classes.map(
      ({ name, paths }) =>
        html`<div class="${isMany ? 'tile' : 'pair'}">
          <p title="${name}">${name}</p>
          <div>${paths.map((path) => photo(path, pictures))}</div>
        </div>`,
    )}
  </div>`;
}

const words = (part: Words): Html | string => (typeof part === 'string' ? part : html`<b>${part.strong}</b>`);

/** A drawing as SVG. */
export function svgOf(drawing: Drawing): string {
  if (drawing.kind === 'panels') return panels(drawing);
  return drawing.kind === 'heat map' ? heatMap(drawing) : rankedChart(drawing);
}

function table({ columns, rows, aside = [], legend: items, note }: BlockOf<'table'>): Html {
  const shown = (cell: Cell): Html | string | number => {
    if (typeof cell !== 'object') return cell;
    if ('strong' in cell) return words(cell);
    if ('text' in cell) return html`${cell.text}<small>${cell.detail}</small>`;
    if ('bars' in cell) return bars(cell.bars);
    if (cell.share === null) return '\u2013';
    return html`${percent(cell.share)}<span class="bar"><i style="width:${(100 * cell.share).toFixed(1)}%"></i></span>`;
  };
  return html`${items === undefined ? '' : legend(items)}
    <div class="scroll">
      ${rowsTable<readonly Cell[]>(
        columns.map((column, i) => ({ ...column, cell: (row) => shown(row[i]!) })),
        rows,
        (row) => aside.includes(rows.indexOf(row)),
      )}
    </div>
    ${note === undefined ? '' : html`<p class="note">${note}</p>`}`;
}

const cellId = ({ truth, predicted }: Pick<CellImages, 'truth' | 'predicted'>): string => `cell-${truth}-${predicted}`;

function matrix({ classes, confusion, linked }: BlockOf<'matrix'>): Html {
  const isFlat = classes.every((name) => name.length <= 4);
  const shape = `matrix${classes.length > 20 ? ' small' : ''}${isFlat ? ' flat' : ''}`;
  const targets = new Set(linked.map(cellId));
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
            const id = cellId({ truth, predicted });
            const shown = targets.has(id) ? html`<a href="#${id}">${count}</a>` : count;
            return html`<td${none} style="${style}" title="${title}">${shown}</td>`;
          })}
        </tr>`;
      })}
    </tbody>
  </table>`;
}

function cellImages(cell: CellImages, classes: readonly string[], pictures: Pictures): Html {
  const { truth, predicted, count, paths, hidden } = cell;
  const what =
    truth === predicted
      ? html`<b>${classes[truth]}</b>`
      : html`${classes[truth]} predicted as <span class="said">${classes[predicted]}</span>`;
  return html`<div class="pair${hidden ? ' more' : ''}" id="${cellId(cell)}">
    <p>${what}<br /><span class="note">${counted(count, 'image')}</span></p>
    <div>${paths.map((path) => photo(path, pictures))}</div>
  </div>`;
}

function facts({ name, rows }: BlockOf<'facts'>['groups'][number]): Html {
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
}
