/** Trying a model: images that are dropped, pasted or chosen, and the camera. */
import { useEffect, useState } from 'preact/hooks';
import { DropZone } from '../parts/drop-zone.tsx';
import { frameOf } from '../parts/lens.tsx';
import { RunSelect } from '../parts/run-select.tsx';
import type { Prediction } from '../protocol.ts';
import { addressOf } from '../route.ts';
import { attempt } from '../state/notices.ts';
import { loadRuns } from '../state/runs.ts';
import { Camera } from './camera.tsx';
import { Card } from './card.tsx';
import { obstacle, place, predict, type Place } from './model.ts';
import { chosenRun, clear, tried, tryImages } from './state.ts';
import { TakeAway } from './take.tsx';

function usePaste(): void {
  useEffect(() => {
    const paste = (event: ClipboardEvent): void => {
      const { files } = event.clipboardData!;
      if (files.length > 0) tryImages(files);
    };
    document.addEventListener('paste', paste);
    return () => document.removeEventListener('paste', paste);
  }, []);
}

const places: Readonly<Record<Place, string>> = {
  webgpu: 'The model runs in this browser, on the GPU; your images are sent nowhere.',
  wasm: 'The model runs in this browser, on WebAssembly; your images are sent nowhere.',
  server: 'The model runs in the studio on this machine; your images are sent nowhere else.',
};

function Where() {
  if (place.value === null) return null;
  return (
    <p class="note">
      {places[place.value]}
      {obstacle.value !== null && ` In the browser it cannot: ${obstacle.value}.`}
    </p>
  );
}

/** Pixels of the longer side of a picture that the camera takes. */
const side = 640;

async function look(run: string, video: HTMLVideoElement): Promise<Prediction | null> {
  const picture = await frameOf(video, side);
  return picture === null ? null : predict(run, picture);
}

export function TrySection() {
  const [isCamera, setCamera] = useState(false);
  usePaste();
  // A run that goes on in a terminal has another model than before.
  useEffect(() => attempt(loadRuns), []);
  const run = chosenRun.value;
  if (run === undefined)
    return (
      <>
        <h1>Try</h1>
        <p class="empty">
          There is no finished model yet. <a href={addressOf('train')}>Train one</a> first.
        </p>
      </>
    );
  return (
    <>
      <h1>Try</h1>
      <p class="which">
        <RunSelect section="try" label="Model" />
      </p>
      {isCamera ? (
        <Camera key={run} predict={(video) => look(run, video)} onStop={() => setCamera(false)} />
      ) : (
        <DropZone says="Drop images here, or paste one." onFiles={(files) => tryImages(files.map(({ file }) => file))}>
          <button onClick={() => setCamera(true)}>Use the camera</button>
        </DropZone>
      )}
      <Where />
      <div class="tries">
        {tried.value.map((one) => (
          <Card key={one.key} name={one.name} picture={one.picture} said={one.said} />
        ))}
      </div>
      {tried.value.length > 0 && (
        <p class="buttons">
          <button onClick={clear}>Clear</button>
        </p>
      )}
      <TakeAway run={run} />
    </>
  );
}
