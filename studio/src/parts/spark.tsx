/** A line without axes: where a number has gone. */
export function Spark({ values }: { readonly values: readonly number[] }) {
  if (values.length < 3) return null;
  const last = values.slice(-40);
  const low = Math.min(...last),
    span = Math.max(...last) - low || 1;
  const points = last.map((value, i) => `${(60 * i) / (last.length - 1)},${15 - (14 * (value - low)) / span}`);
  return (
    <svg class="spark" viewBox="0 0 60 16" aria-hidden="true">
      <polyline points={points.join(' ')} />
    </svg>
  );
}
