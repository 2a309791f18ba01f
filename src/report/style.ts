import { readFileSync } from 'node:fs';
import { trusted } from './html.js';

const colours = readFileSync(new URL('../../assets/colours.css', import.meta.url), 'utf8');

/** The report's style sheet. System fonts only; light and dark by the reader's setting. */
export const style = trusted(`
${colours}
* { box-sizing: border-box; }
body {
  margin: 0; padding: 3rem 1.25rem 5rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
}
main { max-width: 62rem; margin: 0 auto; }
h1 { font-size: 1.9rem; line-height: 1.2; letter-spacing: -0.02em; margin: 0 0 .35rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; letter-spacing: -0.01em; margin: 3.2rem 0 .35rem; }
h3 { font-size: .95rem; margin: 0 0 .3rem; }
p { margin: .3rem 0 1rem; max-width: 44rem; text-wrap: pretty; }
.lead, .note, figcaption { color: var(--soft); }
.note { font-size: .9rem; }
.card > p.note { margin: .8rem .7rem .2rem; }
.figures { display: flex; flex-wrap: wrap; gap: 1px; margin: 1.8rem 0 0;
  padding: 0;
  background: var(--line); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.figures div { flex: 1 1 7rem; background: var(--card); padding: .85rem 1rem .8rem; }
.figures dt { font-size: .82rem; color: var(--soft); }
.figures dd { margin: 0; font-size: 1.5rem; font-weight: 600; letter-spacing: -0.02em;
  font-variant-numeric: tabular-nums; }
.figures small { font-size: .82rem; font-weight: 400; color: var(--soft); letter-spacing: 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.25rem; }
.charts.one { grid-template-columns: minmax(0, 36rem); }
h3.apart { font-size: 1rem; margin: 1.9rem 0 .5rem; }
h3 + .figures { margin-top: 0; }
a { color: var(--selection); }
main > .card + .card, .figures + .charts { margin-top: 1.25rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.1rem; margin: 0; }
.card svg { display: block; width: 100%; height: auto; color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .85rem; color: var(--soft); margin: 0;
  padding: 0; list-style: none; }
.legend i { display: inline-block; width: 1rem; height: 3px; border-radius: 2px; vertical-align: middle;
  margin-right: .4rem; background: currentColor; }
.legend i.dashed { background: repeating-linear-gradient(90deg, currentColor 0 4px, transparent 4px 7px); }
.legend i.rule { width: 2px; height: .9rem; background: var(--ink); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th { font-weight: 500; text-align: left; }
td, th { padding: .32rem .7rem; }
table.rows { width: 100%; }
table.rows td, table.rows th { border-bottom: 1px solid var(--line); vertical-align: top; }
table.rows tr:last-child > * { border-bottom: 0; }
table.rows thead th { color: var(--soft); font-size: .85rem; }
td.number, th.number { text-align: right; white-space: nowrap; }
td small { display: block; color: var(--soft); font-size: .82rem; }
td.value { overflow-wrap: anywhere; }
.scroll td.value { min-width: 8.2rem; }
table.facts th { color: var(--soft); width: 14rem; }
.bar { display: inline-block; width: 6rem; height: .5rem; border-radius: 3px; background: var(--line);
  vertical-align: baseline; margin-left: .6rem; }
.bar i { display: block; height: 100%; border-radius: 3px; background: var(--selection); }
table.matrix { border-spacing: 2px; border-collapse: separate; font-size: .85rem; }
table.matrix td { width: 3rem; min-width: 2.1rem; height: 2.4rem; padding: 0 .3rem; text-align: center;
  border-radius: 4px; }
table.matrix td.none { color: transparent; }
table.matrix td a { display: block; color: inherit; text-underline-offset: .15em; }
table.matrix th { max-width: 11rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
table.matrix thead th { text-align: left; vertical-align: bottom; padding: .3rem 0; height: 1rem; max-width: none; }
table.matrix thead th span { display: block; writing-mode: vertical-rl; transform: rotate(180deg); max-height: 9rem;
  overflow: hidden; text-overflow: ellipsis; margin: 0 auto; }
table.matrix.flat thead th { text-align: center; }
table.matrix.flat thead th span { writing-mode: horizontal-tb; transform: none; }
table.matrix.small td { width: 1.4rem; min-width: 1.2rem; height: 1.4rem; padding: 0; font-size: .65rem; }
.pair { display: grid; grid-template-columns: 15rem 1fr; gap: .4rem 1.2rem; padding: .8rem 0;
  border-top: 1px solid var(--line); align-items: center; }
.pair:first-of-type { border-top: 0; }
.pair.more { display: none; }
.pair.more:target { display: grid; }
.pair:target > p { border-left: 3px solid var(--selection); padding-left: .6rem; }
.pair p { margin: 0; overflow-wrap: anywhere; }
.pair div { display: flex; flex-wrap: wrap; gap: .5rem; }
.photo { display: block; width: 5.5rem; height: 5.5rem; object-fit: cover; border-radius: 6px;
  background: var(--line); }
.sheet { display: block; width: 100%; height: auto; border-radius: 6px; }
.photo.pixels { image-rendering: pixelated; object-fit: contain; }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 1.1rem .9rem; }
.mistakes figure { margin: 0; min-width: 0; }
.mistakes .photo { width: 100%; height: 9rem; }
.mistakes .photo + .photo { margin-top: .3rem; }
.mistakes figcaption { font-size: .84rem; line-height: 1.35; margin-top: .4rem; overflow-wrap: anywhere; }
.mistakes b { font-weight: 600; color: var(--ink); }
.said { color: var(--bad); font-weight: 600; }
.missing { display: grid; place-items: center; font-size: .75rem; color: var(--soft); }
.rung { display: grid; grid-template-columns: minmax(0, 15rem) minmax(0, 1fr) 8.2rem; column-gap: 1rem; }
.rung > * { padding: .55rem 0; }
.rung .name, .rung .score { line-height: 1.3; overflow-wrap: anywhere; }
.rung b { font-weight: 600; }
.rung small { display: block; color: var(--soft); font-size: .82rem; }
.rung .score { font-size: .92rem; font-variant-numeric: tabular-nums; }
.rung.skipped .name, .rung.skipped p { color: var(--soft); }
.rung.skipped b { font-weight: 400; }
.rung.skipped p { grid-column: 2 / 4; margin: 0; max-width: none; font-size: .9rem; }
.track { position: relative; margin: 0 .5rem; min-height: 2.9rem; }
.track i, .axis span { position: absolute; }
.track .tick { top: 0; bottom: 0; border-left: 1px solid var(--line); }
.track .beat { top: 0; bottom: 0; border-left: 2px dashed var(--train); }
.track .interval { top: 50%; height: 4px; margin-top: -2px; border-radius: 2px; background: var(--soft); opacity: .45; }
.rung.kept .interval { background: var(--selection); }
.rung.best .interval { background: var(--good); }
.dot { width: 15px; height: 15px; border-radius: 50%; border: 3px solid var(--soft); background: var(--card); }
.kept .dot, .dot.kept { border-color: var(--selection); background: var(--selection); }
.best .dot, .dot.best { border-color: var(--good); background: var(--good); }
i.test { width: 10px; height: 10px; border: 2px solid var(--ink); background: var(--card); transform: rotate(45deg); }
.track .dot { top: 50%; margin: -7.5px; }
.track .test { top: 50%; margin: -5px; }
.rung.axis > * { padding: .2rem 0 0; }
.axis .track { min-height: 1.5rem; }
.axis span { transform: translateX(-50%); font-size: .82rem; color: var(--soft); }
.marks { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .85rem; color: var(--soft); margin: 0 0 .6rem;
  padding: 0; list-style: none; }
.marks li { display: flex; align-items: center; gap: .45rem; }
.marks .dot { width: 12px; height: 12px; }
.marks .beat { height: 1rem; border-left: 2px dashed var(--train); }
.multiples { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 10.6rem), 1fr));
  gap: 1.1rem 1.2rem; margin-top: .9rem; }
.multiples figure { margin: 0; min-width: 0; }
.multiples h4 { margin: 0; font-size: .9rem; font-weight: 600; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
.multiples figcaption { font-size: .82rem; font-variant-numeric: tabular-nums; }
.strips { columns: 2 22rem; column-gap: 2rem; font-size: .88rem; }
.legend + .strips, .legend + .scroll { margin-top: .6rem; }
.strips > div { display: grid; grid-template-columns: var(--names) minmax(0, 1fr) 3.4rem; gap: .7rem;
  align-items: center; height: 1.45rem; break-inside: avoid; }
.strips .class { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.strips svg { height: 1.05rem; border-radius: 3px; }
.strips .number { text-align: right; font-variant-numeric: tabular-nums; color: var(--soft); }
.balance { display: block; position: relative; min-width: 9rem; height: .7rem; margin: .35rem 0; }
.balance i { position: absolute; left: 0; top: 0; bottom: 0; border-radius: 3px; background: var(--selection); }
.balance i.all { background: var(--tint); }
.balance b { position: absolute; top: -3px; bottom: -3px; width: 2px; margin-left: -1px; background: var(--ink); }
.strips .balance { min-width: 0; margin: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .9rem; }
.tile p { margin: 0 0 .2rem; font-size: .84rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.tile div { display: flex; flex-wrap: wrap; gap: .3rem; }
.tile .photo { width: 4rem; height: 4rem; }
summary { cursor: pointer; }
.command { white-space: pre-wrap; overflow-wrap: anywhere; }
.card ul:not(.legend, .marks) { margin: .2rem 0 1rem; padding-left: 1.2rem; max-width: 48rem; overflow-wrap: anywhere; }
details.earlier { margin-top: 1.2rem; border-top: 1px solid var(--line); padding-top: .8rem; }
details.earlier > summary { font-weight: 600; }
footer { margin-top: 4rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 40rem) {
  .rung { grid-template-columns: 1fr 8.2rem; }
  .rung .track { grid-row: 2; grid-column: 1 / 3; }
  .rung.skipped p { grid-column: 1 / 3; }
  .multiples { grid-template-columns: 1fr 1fr; }
  .pair { grid-template-columns: 1fr; }
  body { padding-top: 1.5rem; }
  table.facts th { width: 8rem; }
  .bar { display: none; }
  .card { padding: .8rem .7rem; }
  td, th { padding: .32rem .45rem; }
  .scroll td.value { min-width: 5.5rem; }
  .figures dd { font-size: 1.25rem; }
}
@media print {
  :root { color-scheme: light; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { padding: 0; background: #fff; font-size: 13px; }
  h2, h3 { break-after: avoid; }
  .card, .figures div, .pair, .mistakes figure, .rung, tr { break-inside: avoid; }
  .scroll { overflow: visible; }
  details:not([open])::details-content { content-visibility: visible; block-size: auto; }
}
`);
