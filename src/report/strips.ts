/** Things with a line each, drawn as bars or as a row of tints. */
import type { Bars, BlockOf, Tints } from './blocks.js';
import { nameColumn } from './format.js';
import { html, trusted, type Html } from './html.js';
import { legend } from './legend.js';

export function strips({ legend: items, rows, notes }: BlockOf<'strips'>): Html {
  return html`${items === undefined ? '' : legend(items)}
    <div class="strips" style="${nameColumn(rows.map(({ name }) => name))}">
      ${rows.map(
        ({ name, title, drawn, number }) =>
          html`<div title="${title}">
            <span class="class">${name}</span>${'behind' in drawn ? bars(drawn) : tints(drawn)}<span class="number"
              >${number}</span
            >
          </div>`,
      )}
    </div>
    ${notes.map((note) => html`<p class="note">${note}</p>`)}`;
}

const width = (share: number): string => `${(100 * share).toFixed(1)}%`;

export const bars = ({ behind, front, mark }: Bars): Html =>
  html`<span class="balance"
    ><i class="all" style="width:${width(behind)}"></i><i style="width:${width(front)}"></i>${
      mark === undefined ? '' : html`<b style="left:${width(mark)}"></b>`
    }</span
  >`;

/** Runs of one tint are one rectangle. */
function tints(shares: Tints): Html {
  const levels = shares.map((share) => Math.round(10 * Math.min(1, Math.max(0, share ?? 0))));
  const runs = new Map<number, string>();
  for (let start = 0; start < levels.length;) {
    let end = start + 1;
    while (levels[end] === levels[start]) end++;
    const level = levels[start]!;
    runs.set(level, `${runs.get(level) ?? ''}M${start} 0H${end}V1H${start}z`);
    start = end;
  }
  const paths = [...runs].map(
    ([level, path]) => `<path d="${path}" fill="rgb(var(--heat) / ${(0.06 + 0.094 * level).toFixed(2)})"/>`,
  );
  return trusted(
    `<svg viewBox="0 0 ${shares.length} 1" preserveAspectRatio="none" shape-rendering="crispEdges" ` +
      `aria-hidden="true">${paths.join('')}</svg>`,
  );
}
