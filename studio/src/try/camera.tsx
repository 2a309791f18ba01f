/** The camera: a picture is sent to the model again and again, as fast as it answers. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Prediction } from '../protocol.ts';
import { messageOf } from '../state/requests.ts';
import { Answer } from './answer.tsx';
import { predict } from './model.ts';

/** Pixels of the longer side that are sent, and milliseconds between two pictures at least. */
const side = 640,
  pause = 250;

/** What the video shows, as a JPEG; null as long as it shows nothing. */
function pictureOf(video: HTMLVideoElement): Promise<Blob | null> {
  const { videoWidth: width, videoHeight: height } = video;
  if (width === 0) return Promise.resolve(null);
  const scale = Math.min(1, side / Math.max(width, height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.getContext('2d')!.drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.9));
}

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

export function Camera({ run, onStop }: { readonly run: string; readonly onStop: () => void }) {
  const video = useRef<HTMLVideoElement>(null);
  const [said, setSaid] = useState<Prediction | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    let isOver = false,
      stream: MediaStream | undefined;
    const look = async (): Promise<void> => {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
      if (isOver) return stream.getTracks().forEach((track) => track.stop());
      const element = video.current!;
      element.srcObject = stream;
      await element.play();
      while (!isOver) {
        const picture = await pictureOf(element);
        if (picture !== null) setSaid(await predict(run, picture));
        await sleep(pause);
      }
    };
    look().catch((error: unknown) => isOver || setProblem(messageOf(error)));
    return () => {
      isOver = true;
      for (const track of stream?.getTracks() ?? []) track.stop();
    };
  }, [run]);
  return (
    <section class="card camera" aria-label="Camera">
      <video ref={video} muted playsInline />
      <div>
        {problem !== null && <p class="failure">The camera cannot be used: {problem}</p>}
        {said !== null && <Answer said={said} />}
        <button onClick={onStop}>Stop the camera</button>
      </div>
    </section>
  );
}
