import { trusted } from './html.js';

/** The report's style sheet. System fonts only; light and dark by the reader's setting. */
export const style = trusted(`
:root {
  color-scheme: light dark;
  --paper: #fcfcfa; --card: #fff; --ink: #1d1f22; --soft: #63676e; --line: #e3e3de; --hover: #f4f4ef;
  --train: #b3671b; --selection: #2261a8; --good: #1b7f56; --bad: #b5322d; --heat: 34 97 168;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --card: #1c1f23; --ink: #e7e8ea; --soft: #9aa0a8; --line: #2e3238; --hover: #24282d;
    --train: #e8a45c; --selection: #78b0ec; --good: #5cc79a; --bad: #f0827c; --heat: 96 160 226;
  }
}
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
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 1px; margin: 1.8rem 0 0; padding: 0;
  background: var(--line); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.figures div { background: var(--card); padding: .85rem 1rem .8rem; }
.figures dt { font-size: .82rem; color: var(--soft); }
.figures dd { margin: 0; font-size: 1.5rem; font-weight: 600; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; }
.figures small { font-size: .82rem; font-weight: 400; color: var(--soft); letter-spacing: 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.25rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.1rem; margin: 0; }
.card svg { display: block; width: 100%; height: auto; color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .85rem; color: var(--soft); margin: 0; padding: 0; list-style: none; }
.legend i { display: inline-block; width: 1rem; height: 3px; border-radius: 2px; vertical-align: middle; margin-right: .4rem; background: currentColor; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th { font-weight: 500; text-align: left; }
td, th { padding: .32rem .7rem; }
table.rows { width: 100%; }
table.rows td, table.rows th { border-bottom: 1px solid var(--line); vertical-align: top; }
table.rows tr:last-child > * { border-bottom: 0; }
table.rows thead th { color: var(--soft); font-size: .85rem; }
td.number, th.number { text-align: right; }
td.value { overflow-wrap: anywhere; }
table.facts th { color: var(--soft); width: 14rem; }
.bar { display: inline-block; width: 6rem; height: .5rem; border-radius: 3px; background: var(--line); vertical-align: baseline; margin-left: .6rem; }
.bar i { display: block; height: 100%; border-radius: 3px; background: var(--selection); }
table.matrix { border-spacing: 2px; border-collapse: separate; font-size: .85rem; }
table.matrix td { width: 3rem; min-width: 2.1rem; height: 2.4rem; padding: 0 .3rem; text-align: center; border-radius: 4px; }
table.matrix td.none { color: transparent; }
table.matrix th { max-width: 11rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
table.matrix thead th { text-align: left; vertical-align: bottom; padding: .3rem 0; height: 1rem; max-width: none; }
table.matrix thead th span { display: block; writing-mode: vertical-rl; transform: rotate(180deg); max-height: 9rem; overflow: hidden; text-overflow: ellipsis; margin: 0 auto; }
table.matrix.flat thead th { text-align: center; }
table.matrix.flat thead th span { writing-mode: horizontal-tb; transform: none; }
table.matrix.small td { width: 1.4rem; min-width: 1.2rem; height: 1.4rem; padding: 0; font-size: .65rem; }
.pair { display: grid; grid-template-columns: 15rem 1fr; gap: .4rem 1.2rem; padding: .8rem 0; border-top: 1px solid var(--line); align-items: center; }
.pair:first-of-type { border-top: 0; }
.pair p { margin: 0; overflow-wrap: anywhere; }
.pair div { display: flex; flex-wrap: wrap; gap: .5rem; }
.photo { display: block; width: 5.5rem; height: 5.5rem; object-fit: cover; border-radius: 6px; background: var(--line); }
.sheet { display: block; width: 100%; height: auto; border-radius: 6px; }
.photo.pixels { image-rendering: pixelated; object-fit: contain; }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 1.1rem .9rem; }
.mistakes figure { margin: 0; min-width: 0; }
.mistakes .photo { width: 100%; height: 9rem; }
.mistakes figcaption { font-size: .84rem; line-height: 1.35; margin-top: .4rem; overflow-wrap: anywhere; }
.mistakes b { font-weight: 600; color: var(--ink); }
.said { color: var(--bad); font-weight: 600; }
.missing { display: grid; place-items: center; font-size: .75rem; color: var(--soft); }
footer { margin-top: 4rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 40rem) { .pair { grid-template-columns: 1fr; } body { padding-top: 1.5rem; } table.facts th { width: 8rem; } }
@media print { body { padding: 0; background: #fff; } .card, .figures div { break-inside: avoid; } }
`);
