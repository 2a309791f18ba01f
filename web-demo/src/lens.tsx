/** The camera, as long as it is on. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';

interface Given {
  readonly label: string;
  readonly onStop: () => void;
  /** Gets the video once it plays. */
  readonly onVideo: (video: HTMLVideoElement) => void;
  readonly children?: ComponentChildren;
}

export function Lens({ label, onStop, onVideo, children }: Given) {
  const element = useRef<HTMLVideoElement>(null);
  const [failure, setFailure] = useState<string | null>(null);
  useEffect(() => {
    let isOver = false,
      stream: MediaStream | undefined;
    const open = async (): Promise<void> => {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' }, audio: false });
      if (isOver) return stream.getTracks().forEach((track) => track.stop());
      const video = element.current!;
      video.srcObject = stream;
      await video.play();
      onVideo(video);
    };
    open().catch((error: unknown) => isOver || setFailure((error as Error).message));
    return () => {
      isOver = true;
      for (const track of stream?.getTracks() ?? []) track.stop();
    };
  }, []);
  return (
    <div class="lens" role="group" aria-label={label}>
      {failure === null ? (
        <video ref={element} muted playsInline />
      ) : (
        <p class="failure">The camera cannot be used: {failure}</p>
      )}
      <div class="row">
        {children}
        <button onClick={onStop}>Stop the camera</button>
      </div>
    </div>
  );
}

/** What a video shows, as a JPEG; null as long as it shows nothing. */
export function pictureOf(video: HTMLVideoElement): Promise<Blob | null> {
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  if (canvas.width === 0) return Promise.resolve(null);
  canvas.getContext('2d')!.drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.9));
}
