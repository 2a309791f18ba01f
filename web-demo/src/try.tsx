/** Trying the model on photos and the camera. */
import { signal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { DropZone } from '../../studio/src/parts/drop-zone.tsx';
import type { Prediction } from '../../studio/src/protocol.ts';
import { Camera } from '../../studio/src/try/camera.tsx';
import { Card } from '../../studio/src/try/card.tsx';
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

export function TryPart() {
  const [isCamera, setCamera] = useState(false);
  if (model.value === null) return null;
  return (
    <>
      <h2>3. Try</h2>
      {isCamera ? (
        <Camera predict={predict} onStop={() => setCamera(false)} />
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
