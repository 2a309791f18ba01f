/** Trying the model on photos and the camera. */
import { signal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { DropZone } from '../../studio/src/parts/drop-zone.tsx';
import type { Prediction } from '../../studio/src/protocol.ts';
import { Answer } from '../../studio/src/try/answer.tsx';
import { Card } from '../../studio/src/try/card.tsx';
import { Lens } from './lens.tsx';
import { model, predict } from './training.ts';

interface Tried {
  readonly key: number;
  readonly name: string;
  readonly picture: string;
  readonly said: Prediction | { readonly failed: string } | null;
}

/** Newest first. */
const tried = signal<readonly Tried[]>([]);
let next = 0;

async function look(file: File): Promise<void> {
  const one: Tried = { key: next++, name: file.name, picture: URL.createObjectURL(file), said: null };
  tried.value = [one, ...tried.value];
  const said = await predict(file).catch((error: unknown) => ({ failed: (error as Error).message }));
  tried.value = tried.value.map((other) => (other.key === one.key ? { ...one, said } : other));
}

/** Milliseconds between two pictures of the camera at least. */
const pause = 200;

function Live({ onStop }: { readonly onStop: () => void }) {
  const [said, setSaid] = useState<Prediction | null>(null);
  const isOver = useRef(false);
  useEffect(() => () => void (isOver.current = true), []);
  const watch = async (video: HTMLVideoElement): Promise<void> => {
    while (!isOver.current) {
      setSaid(await predict(video));
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  };
  return (
    <section class="card camera" aria-label="Camera">
      <Lens label="Camera" onStop={onStop} onVideo={(video) => void watch(video)} />
      <div>{said !== null && <Answer said={said} />}</div>
    </section>
  );
}

export function TryPart() {
  const [isCamera, setCamera] = useState(false);
  if (model.value === null) return null;
  return (
    <>
      <h2>3. Try</h2>
      {isCamera ? (
        <Live onStop={() => setCamera(false)} />
      ) : (
        <DropZone
          says="Drop photos that it has not seen"
          onFiles={(files) => files.forEach(({ file }) => void look(file))}
        >
          <button onClick={() => setCamera(true)}>Use the camera</button>
        </DropZone>
      )}
      <div class="tries">
        {tried.value.map(({ key, name, picture, said }) => (
          <Card key={key} name={name} picture={picture} said={said} />
        ))}
      </div>
    </>
  );
}
