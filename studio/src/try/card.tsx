/** An image that was tried, and what the model says of it. */
import type { Prediction } from '../protocol.ts';
import { Answer } from './answer.tsx';

interface CardOptions {
  readonly name: string;
  /** An address. */
  readonly picture: string;
  /** null: it is being looked at. */
  readonly said: Prediction | { readonly failed: string } | null;
}

export const Card = ({ name, picture, said }: CardOptions) => (
  <article class="card tried" aria-label={name}>
    <img src={picture} alt={name} />
    <div aria-live="polite">
      {said === null && <p class="note">Looking…</p>}
      {said !== null && 'failed' in said && <p class="failure">{said.failed}</p>}
      {said !== null && 'label' in said && <Answer said={said} />}
    </div>
  </article>
);
