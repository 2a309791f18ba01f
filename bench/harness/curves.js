import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { fontFamily, rasterise } from '../../dist/report/raster.js';

const colours = ['#1f77b4', '#d95f02', '#1b9e77', '#7f7f7f', '#b0a000'];

/** Both axes logarithmic: growth in proportion is a straight line, and its slope is the power. */
function chart(title, xLabel, yLabel, series, key) {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const rows = Object.entries(series).flatMap(([name, { points = [] }]) =>
    points.map((point) => ({ name, x: Math.log2(point.x), y: point[key] })),
  );
  const names = Object.keys(series).filter((name) => series[name].points?.length > 0);
  const lines = Math.ceil(names.length / 2);
  const words = (text, dx, dy, style) =>
    Plot.text([text], { frameAnchor: 'top-left', dx: dx - 52, dy, text: (d) => d, textAnchor: 'start', ...style });
  const svg = Plot.plot({
    document,
    width: 560,
    height: 300 + 16 * lines,
    marginLeft: 64,
    marginRight: 30,
    marginTop: 66 + 16 * lines,
    marginBottom: 42,
    style: { background: 'white', fontFamily, fontSize: '13px', overflow: 'visible' },
    // Positions are logarithms: a logarithmic axis would leave out labels of ours.
    x: {
      label: xLabel,
      labelArrow: 'none',
      labelAnchor: 'center',
      ticks: [...new Set(rows.map(({ x }) => x))],
      tickFormat: (x) => Math.round(2 ** x).toLocaleString('en'),
      inset: 12,
    },
    y: { type: 'log', label: null, grid: true, nice: true, ticks: 5 },
    color: { domain: names, range: colours },
    marks: [
      Plot.lineY(rows, { x: 'x', y: 'y', stroke: 'name', strokeWidth: 2 }),
      Plot.dot(rows, { x: 'x', y: 'y', fill: 'name', r: 3.5 }),
      words(title, 0, -58 - 16 * lines, { fontSize: 15, fontWeight: 'bold', fill: 'black' }),
      words(yLabel, 0, -40 - 16 * lines, { fill: '#444' }),
      ...names.map((name, i) =>
        words(name, 260 * (i % 2), -20 - 16 * (lines - 1 - (i >> 1)), { fill: colours[i], fontWeight: 'bold' }),
      ),
    ],
  });
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return svg.outerHTML;
}

/**
 * Writes a picture of each quantity (`labels`: key of the points to what the axis says) into the
 * folder; gives the files' names.
 */
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
