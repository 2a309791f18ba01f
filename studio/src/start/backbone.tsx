/** The network whose features are used; what is not there is fetched only when the person says so. */
import { useState } from 'preact/hooks';
import { size } from '../parts/numbers.ts';
import { fetchBackbone, folder, progress } from '../state/folder.ts';
import { assistant } from '../state/assistant.ts';
import { complain } from '../state/notices.ts';

function Offer() {
  const [isAsked, setAsked] = useState(false);
  const offer = folder.value?.offer;
  if (offer === null || offer === undefined) return null;
  const accept = (): void => {
    setAsked(true);
    fetchBackbone()
      .catch(complain)
      .finally(() => setAsked(false));
  };
  return (
    <section class="card offer">
      <h2>Download a pretrained network?</h2>
      <p>
        Few labels are enough because learning starts from a network that has already seen a million images.{' '}
        <b>{offer.name}</b>
        {offer.bytes === null ? '' : ` (${size(offer.bytes)})`} would be downloaded from <b>{offer.host}</b>, once. Your
        images stay on this machine, and nothing else is requested. You can label without it.
      </p>
      {offer.failure !== null && (
        <p class="failure" role="alert">
          {offer.failure}
        </p>
      )}
      <button class="primary" disabled={isAsked} onClick={accept}>
        {offer.failure === null ? 'Download it' : 'Try again'}
      </button>
    </section>
  );
}

export function BackboneCard() {
  const { backbone, offer } = folder.value ?? {};
  if (backbone !== null && backbone !== undefined)
    return (
      <p class="note">
        Pretrained network: <b>{backbone.name}</b>
        {backbone.licence === null ? '' : `, licence ${backbone.licence}`}
      </p>
    );
  if (offer !== null && offer !== undefined) return <Offer />;
  const { waiting } = assistant.value;
  return progress.value.has('backbone') || waiting === null ? null : <p class="note">{waiting}</p>;
}
