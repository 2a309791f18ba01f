/** Photos by class, and those without one. */
import type { ComponentChildren } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { DropZone } from '../../studio/src/parts/drop-zone.tsx';
import { frameOf, Lens } from '../../studio/src/parts/lens.tsx';
import { of } from '../../studio/src/parts/numbers.ts';
import { complain } from '../../studio/src/state/notices.ts';
import {
  addClass,
  addPhotos,
  classes,
  isHeld,
  label,
  others,
  removeClass,
  removePhoto,
  rename,
  type ClassOfPhotos,
  type Photo,
} from './state.ts';

/** Dropped, chosen or from the camera. `to`: the class; null: none. */
function PhotoSource({
  to,
  says,
  camera,
}: {
  readonly to: number | null;
  readonly says: string;
  readonly camera: string;
}) {
  const [isCamera, setCamera] = useState(false);
  const video = useRef<HTMLVideoElement | null>(null);
  const shoot = async (): Promise<void> => {
    const picture = video.current && (await frameOf(video.current));
    if (picture) addPhotos(to, [picture]);
  };
  if (isCamera)
    return (
      <Lens label={camera} onStop={() => setCamera(false)} onVideo={(shown) => void (video.current = shown)}>
        <button class="primary" onClick={() => void shoot()}>
          Take a photo
        </button>
      </Lens>
    );
  return (
    <DropZone
      says={says}
      onFiles={(files) =>
        addPhotos(
          to,
          files.map(({ file }) => file),
        )
      }
    >
      <button onClick={() => setCamera(true)}>Use the camera</button>
    </DropZone>
  );
}

function Photos({
  photos,
  action,
  onPhoto,
  onKeyDown,
}: {
  readonly photos: readonly Photo[];
  /** What the button of a photo does, such as `Remove photo`. */
  readonly action: string;
  readonly onPhoto: (photo: Photo) => void;
  readonly onKeyDown?: (event: KeyboardEvent, photo: Photo) => void;
}) {
  return (
    <div class="photos">
      {photos.map((photo, i) => (
        <button
          key={photo.key}
          aria-label={`${action} ${i + 1}`}
          onClick={() => onPhoto(photo)}
          onKeyDown={(event) => onKeyDown?.(event, photo)}
        >
          <img src={photo.picture} alt="" onError={() => refuse(photo)} />
        </button>
      ))}
    </div>
  );
}

/** A browser does not decode every format: HEIC only where the system does. */
function refuse(photo: Photo): void {
  if (!isHeld(photo)) return;
  removePhoto(photo);
  complain(
    `This browser cannot open ${photo.file instanceof File ? photo.file.name : 'a photo'}: give it as JPEG or PNG.`,
  );
}

const Count = ({ photos, children }: { readonly photos: readonly Photo[]; readonly children?: ComponentChildren }) => (
  <p class="note" aria-live="polite">
    {of(photos.length, 'photo')}
    {children}
  </p>
);

function ClassCard({ one }: { readonly one: ClassOfPhotos }) {
  const { key, name, photos } = one;
  return (
    <section class="card" aria-label={name}>
      <label>
        Name of the class
        <input value={name} onInput={({ currentTarget }) => rename(key, currentTarget.value)} />
      </label>
      <PhotoSource to={key} says="Drop about ten photos" camera={`Camera for ${name}`} />
      <Count photos={photos} />
      <Photos photos={photos} action="Remove photo" onPhoto={removePhoto} />
      {classes.value.length > 2 && <button onClick={() => removeClass(key)}>Remove the class</button>}
    </section>
  );
}

/** Photos whose labels the training works out; one can also label them here. */
function OthersCard() {
  const [chosen, setChosen] = useState<number | null>(null);
  const photo = others.value.find(({ key }) => key === chosen);
  const list = useRef<HTMLDivElement>(null);
  /** The keyboard stays among the photos. */
  const then = (done: Photo, work: () => void): void => {
    const at = others.value.indexOf(done);
    work();
    setChosen(null);
    setTimeout(() => {
      const buttons = list.current?.querySelectorAll<HTMLElement>('.photos button') ?? [];
      buttons[Math.min(Math.max(0, at), buttons.length - 1)]?.focus();
    });
  };
  const byKey = ({ key }: KeyboardEvent, of: Photo): void => {
    const to = classes.value[Number(key) - 1];
    if (/^[1-9]$/.test(key) && to !== undefined) then(of, () => label(of, to));
    if (key === 'Delete') then(of, () => removePhoto(of));
  };
  return (
    <details class="others" open={others.value.length > 0}>
      <summary>Photos without a label</summary>
      <p class="note">
        More photos of the same kinds make the model better: training works out their labels. You can also label them:
        choose one and press the number of its class.
      </p>
      <PhotoSource to={null} says="Drop any number of photos" camera="Camera for photos without a label" />
      <Count photos={others.value} />
      <div ref={list}>
        <Photos
          photos={others.value}
          action="Label photo"
          onPhoto={({ key }) => setChosen(key === chosen ? null : key)}
          onKeyDown={byKey}
        />
      </div>
      {photo !== undefined && (
        <div class="row" role="group" aria-label="The photo is">
          <img class="chosen" src={photo.picture} alt="The chosen photo" />
          {classes.value.map((one, i) => (
            <button key={one.key} onClick={() => then(photo, () => label(photo, one))}>
              {i < 9 && <kbd>{i + 1}</kbd>} {one.name}
            </button>
          ))}
          <button onClick={() => then(photo, () => removePhoto(photo))}>
            <kbd>Del</kbd> Remove
          </button>
        </div>
      )}
    </details>
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
      <OthersCard />
    </>
  );
}
