/** The camera, as long as it is on. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';

interface Given {
  readonly label: string;
  readonly onStop: () => void;
  /**
   * Gets the video once it plays, and what stops when the camera does. Where it throws, the person is told why instead
   * of shown a video.
   */
  readonly onVideo: (video: HTMLVideoElement, over: AbortSignal) => void | Promise<void>;
  readonly children?: ComponentChildren;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export function Lens({ label, onStop, onVideo, children }: Given) {
  const element = useRef<HTMLVideoElement>(null),
    stop = useRef<HTMLButtonElement>(null);
  const [failure, setFailure] = useState<string | null>(null);
  // What was pressed to open it may be gone.
  useEffect(() => {
    if (document.activeElement === document.body) stop.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    const over = new AbortController();
    let stream: MediaStream | undefined;
    const close = (): void => stream?.getTracks().forEach((track) => track.stop());
    const open = async (): Promise<void> => {
      const wanted = { facingMode: 'environment', width: { ideal: 1280 } };
      stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
      if (over.signal.aborted) return close();
      const video = element.current!;
      video.srcObject = stream;
      await video.play();
      await onVideo(video, over.signal);
    };
    open().catch((error: unknown) => over.signal.aborted || setFailure(messageOf(error)));
    return () => {
      over.abort();
      close();
    };
  }, []);
  return (
    <div class="lens" role="group" aria-label={label}>
      {failure === null ? (
        <video ref={element} muted playsInline />
      ) : (
        <p class="failure">The camera cannot be used: {failure}</p>
      )}
      <p class="buttons">
        {children}
        <button ref={stop} onClick={onStop}>
          Stop the camera
        </button>
      </p>
    </div>
  );
}

/** What a video shows, as a JPEG whose longer side has at most `most` pixels; null as long as it shows nothing. */
export function frameOf(video: HTMLVideoElement, most = Infinity): Promise<Blob | null> {
  const { videoWidth: width, videoHeight: height } = video;
  if (width === 0) return Promise.resolve(null);
  const scale = Math.min(1, most / Math.max(width, height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.getContext('2d')!.drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.9));
}
