import type { LegendItem } from './blocks.js';
import type { Series } from './charts.js';
import { html, trusted, type Html } from './html.js';

/** What the colours of a chart stand for. */
export const legend = (items: readonly LegendItem[]): Html =>
  html`<ul class="legend">
    ${items.map(({ name, colour, shape = 'line' }) => {
      const kind = trusted(shape === 'line' ? '' : ` class="${shape}"`);
      return html`<li><i${kind} style="color:${colour}"></i>${name}</li>`;
    })}
  </ul>`;

/** Lines that are more than the background of others, each name once. */
export const seriesLegend = (series: readonly Series[]): Html =>
  legend(
    [...new Map(series.map((one) => [one.name, one])).values()]
      .filter(({ faint }) => faint !== true)
      .map(({ name, colour, dashed }) => ({ name, colour, shape: dashed ? 'dashed' : 'line' })),
  );
