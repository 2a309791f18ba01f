/** Images as they come out, each a canvas of exactly its pixels. */
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { Cell, Drawn } from './asked.ts';

function Picture({ image, caption }: Cell) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    const element = canvas.current!;
    [element.width, element.height] = [image.width, image.height];
    element.getContext('2d')!.putImageData(image, 0, 0);
  }, [image]);
  return (
    <figure>
      <canvas ref={canvas} role="img" aria-label={caption} />
      <figcaption>{caption}</figcaption>
    </figure>
  );
}

export function AugmentedSheet({ sheet }: { readonly sheet: Drawn }) {
  // At least as many beside each other as there are draws of an image.
  const columns = Math.max(4, ...sheet.rows.map(({ cells }) => cells.length));
  return (
    <div
      class="sheet"
      style={{ '--columns': Math.min(columns, 8) }}
      role="region"
      aria-label={`${sheet.title}: ${sheet.subtitle}`}
    >
      {sheet.rows.map(({ label, cells }, row) => (
        <section key={row} aria-label={label || undefined}>
          {label !== '' && <h3>{label}</h3>}
          <div class="cells">
            {cells.map((cell, i) => (
              <Picture key={i} {...cell} />
            ))}
          </div>
        </section>
      ))}
    </div>
  );
}
