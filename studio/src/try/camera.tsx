/** The camera: what it shows is classified again and again, as fast as the model answers. */
import { useState } from 'preact/hooks';
import { Lens } from '../parts/lens.tsx';
import type { Prediction } from '../protocol.ts';
import { Answer } from './answer.tsx';

/** Milliseconds between two pictures at least. */
const pause = 200;

interface Given {
  /** null: the video shows nothing yet. */
  readonly predict: (video: HTMLVideoElement) => Promise<Prediction | null>;
  readonly onStop: () => void;
}

export function Camera({ predict, onStop }: Given) {
  const [said, setSaid] = useState<Prediction | null>(null);
  const watch = async (video: HTMLVideoElement, over: AbortSignal): Promise<void> => {
    while (!over.aborted) {
      const answer = await predict(video);
      if (over.aborted) return;
      if (answer !== null) setSaid(answer);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  };
  return (
    <section class="card camera">
      <Lens label="Camera" onStop={onStop} onVideo={watch} />
      <div>{said !== null && <Answer said={said} />}</div>
    </section>
  );
}
