/** A small line chart. */
export interface Line {
  readonly name: string;
  /** Its colour, by a class of the style sheet. */
  readonly kind: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

interface Given {
  readonly title: string;
  readonly lines: readonly Line[];
  /** How a value reads. */
  readonly format: (value: number) => string;
  readonly xLabel: string;
  /** The least that the y axis shows. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

const width = 320,
  height = 150,
  left = 50,
  right = 8,
  top = 8,
  bottom = 20;

/** Three values that divide an axis. */
const ticks = (low: number, high: number): readonly number[] => [low, (low + high) / 2, high];

export function Chart({ title, lines, format, xLabel, from, to }: Given) {
  const all = lines.flatMap(({ points }) => points);
  if (all.length === 0) return null;
  const xs = all.map(([x]) => x),
    ys = all.map(([, y]) => y);
  const x0 = Math.min(...xs),
    x1 = Math.max(...xs, x0 + 1);
  const y0 = from ?? Math.min(...ys),
    y1 = Math.max(to ?? Math.max(...ys), y0 + 1e-6);
  const x = (value: number): number => left + ((width - left - right) * (value - x0)) / (x1 - x0);
  const y = (value: number): number => height - bottom - ((height - top - bottom) * (value - y0)) / (y1 - y0);
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={`${title}: ${format(ys.at(-1)!)} at last`}>
        {ticks(y0, y1).map((value) => (
          <g key={value} class="tick">
            <line x1={left} x2={width - right} y1={y(value)} y2={y(value)} />
            <text x={left - 6} y={y(value) + 5} text-anchor="end">
              {format(value)}
            </text>
          </g>
        ))}
        <text x={width - right} y={height - 4} text-anchor="end">
          {xLabel} {Math.max(...xs)}
        </text>
        {lines.map(({ name, kind, points }) => (
          <g key={name} class={`line ${kind}`}>
            <polyline points={points.map(([px, py]) => `${x(px)},${y(py)}`).join(' ')} />
            {points.slice(-1).map(([px, py]) => (
              <circle key="end" cx={x(px)} cy={y(py)} r={3} />
            ))}
          </g>
        ))}
      </svg>
    </figure>
  );
}
