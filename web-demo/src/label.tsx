/** Photos by class. */
import { useRef, useState } from 'preact/hooks';
import { DropZone } from '../../studio/src/parts/drop-zone.tsx';
import { of } from '../../studio/src/parts/numbers.ts';
import { Lens, pictureOf } from './lens.tsx';
import { addClass, addPhotos, classes, removeClass, removePhoto, rename, type ClassOfPhotos } from './state.ts';

function ClassCard({ one }: { readonly one: ClassOfPhotos }) {
  const { key, name, photos } = one;
  const [isCamera, setCamera] = useState(false);
  const video = useRef<HTMLVideoElement | null>(null);
  const shoot = async (): Promise<void> => {
    const picture = video.current && (await pictureOf(video.current));
    if (picture) addPhotos(key, [picture]);
  };
  return (
    <section class="card" aria-label={name}>
      <label>
        Name of the class
        <input value={name} onInput={({ currentTarget }) => rename(key, currentTarget.value)} />
      </label>
      {isCamera ? (
        <Lens label={`Camera for ${name}`} onStop={() => setCamera(false)} onVideo={(shown) => (video.current = shown)}>
          <button class="primary" onClick={() => void shoot()}>
            Take a photo
          </button>
        </Lens>
      ) : (
        <DropZone
          says="Drop about ten photos"
          onFiles={(files) =>
            addPhotos(
              key,
              files.map(({ file }) => file),
            )
          }
        >
          <button onClick={() => setCamera(true)}>Use the camera</button>
        </DropZone>
      )}
      <p class="note" aria-live="polite">
        {of(photos.length, 'photo')}
      </p>
      <div class="photos">
        {photos.map((photo, i) => (
          <button key={photo.key} aria-label={`Remove photo ${i + 1}`} onClick={() => removePhoto(key, photo.key)}>
            <img src={photo.picture} alt="" />
          </button>
        ))}
      </div>
      {classes.value.length > 2 && <button onClick={() => removeClass(key)}>Remove the class</button>}
    </section>
  );
}

export function LabelPart() {
  return (
    <>
      <h2>1. Give examples</h2>
      <div class="classes">
        {classes.value.map((one) => (
          <ClassCard key={one.key} one={one} />
        ))}
      </div>
      <button onClick={addClass}>Add a class</button>
    </>
  );
}
