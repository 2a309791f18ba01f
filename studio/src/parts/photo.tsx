/** A thumbnail. It is decoded beside the page's own work, so that scrolling stays smooth. */
import { useEffect, useRef } from 'preact/hooks';
import { nameOf } from '../state/folder.ts';
import { thumbnailOf } from '../state/requests.ts';
import { useAgain } from './again.ts';

export function Photo({ id, alt }: { readonly id: number; readonly alt?: string | undefined }) {
  const image = useRef<HTMLImageElement>(null);
  const again = useAgain(thumbnailOf(id));
  // What has scrolled out of sight is no longer waited for: a browser asks for six things at once.
  useEffect(() => {
    const { current } = image;
    return () => current?.removeAttribute('src');
  }, []);
  return <img ref={image} class="photo" {...again} alt={alt ?? nameOf(id)} decoding="async" draggable={false} />;
}
