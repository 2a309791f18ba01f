/** Whether this device is used by touch: it may have no keys, and words say what a finger does. */
import { signal } from '@preact/signals';

const query = matchMedia('(pointer: coarse)');

export const isTouch = signal(query.matches);
query.addEventListener('change', ({ matches }) => (isTouch.value = matches));
