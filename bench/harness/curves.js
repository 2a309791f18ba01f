import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { fontFamily, rasterise } from '../../dist/report/raster.js';

const colours = ['#1f77b4', '#d95f02', '#1b9e77', '#7f7f7f', '#b0a000'];

/** Both axes logarithmic: growth in proportion is a straight line, and its slope is the power. */
function chart(title, xLabel, yLabel, series, key) {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const rows = Object.entries(series).flatMap(([name, { points = [] }]) => points.map((point) => ({ name, x: point.x, y: point[key] })));
  const names = Object.keys(series).filter((name) => series[name].points?.length > 0);
  const xs = [...new Set(rows.map(({ x }) => x))];
  const svg = Plot.plot({
    document, width: 560, height: 340, marginLeft: 64, marginRight: 20, marginTop: 52 + 14 * Math.ceil(names.length / 2), marginBottom: 42,
    style: { background: 'white', fontFamily, fontSize: '13px', overflow: 'visible' },
    x: { type: 'log', label: xLabel, labelArrow: 'none', labelAnchor: 'center', ticks: xs, tickFormat: (x) => x.toLocaleString('en'), inset: 12 },
    y: { type: 'log', label: null, grid: true, nice: true, ticks: 4, tickFormat: (y) => (/^[125]/.test(String(y).replace(/^0\.0*/, '')) ? y.toLocaleString('en') : '') },
    color: { domain: names, range: colours },
    marks: [
      Plot.lineY(rows, { x: 'x', y: 'y', stroke: 'name', strokeWidth: 2 }), Plot.dot(rows, { x: 'x', y: 'y', fill: 'name', r: 3.5 }),
      Plot.text([title], { frameAnchor: 'top-left', dx: -52, dy: -46 - 14 * Math.ceil(names.length / 2), text: (d) => d, fontSize: 15, fontWeight: 'bold', fill: 'black', textAnchor: 'start' }),
      Plot.text([yLabel], { frameAnchor: 'top-left', dx: -52, dy: -28 - 14 * Math.ceil(names.length / 2), text: (d) => d, fill: '#444', textAnchor: 'start' }),
      ...names.map((name, i) => Plot.text([name], {
        frameAnchor: 'top-left', dx: -52 + 260 * (i % 2), dy: -10 - 16 * (Math.ceil(names.length / 2) - 1 - Math.floor(i / 2)), text: (d) => d, fill: colours[i], textAnchor: 'start', fontWeight: 'bold',
      })),
    ],
  });
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return svg.outerHTML;
}

/** Writes a picture of each quantity (`labels`: key of the points to what the axis says) into the folder; gives the files' names. */
export async function drawCurves(folder, name, title, series, labels) {
  mkdirSync(folder, { recursive: true });
  const [heading, xLabel] = [title.split(':')[0], title.split(':')[1].trim()];
  const pictures = [];
  for (const [key, label] of Object.entries(labels)) {
    const file = `${name}-${key === 'wall' ? 'time' : 'memory'}.png`;
    writeFileSync(join(folder, file), await rasterise(chart(heading, xLabel, label, series, key), { zoom: 1.5 }));
    pictures.push(file);
  }
  return pictures;
}
