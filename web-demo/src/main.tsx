/** The page that trains in its visitor's browser. */
import { render } from 'preact';
import { Notices } from '../../studio/src/parts/notices.tsx';
import { LabelPart } from './label.tsx';
import { isKeeping, keeper, restore } from './state.ts';
import { TrainPart } from './train.tsx';
import { goOn, startOver } from './training.ts';
import { TryPart } from './try.tsx';

/** What stays when the page is closed. */
const Keeping = () => (
  <p class="note row keeping">
    {keeper.value === null ? (
      'Nothing is kept when the page is closed: this browser keeps no files for it, or another window of it is open.'
    ) : (
      <>
        {isKeeping.value
          ? 'Photos and labels are being written…'
          : 'Photos, labels and the model are kept in this browser, on this device.'}
        <button onClick={() => void startOver()}>Start over</button>
      </>
    )}
  </p>
);

function Page() {
  return (
    <>
      <h1>Train an image classifier in your browser</h1>
      <p class="lead">
        Show about ten photos of each kind, train for some seconds, try it, take the model with you. Photos never leave
        this device.
      </p>
      <LabelPart />
      <TrainPart />
      <TryPart />
      <Keeping />
      <Notices />
    </>
  );
}

// Once loaded, the page works without a network.
navigator.serviceWorker?.register('./offline.js').catch(() => undefined);
await restore();
render(<Page />, document.getElementById('page')!);
await goOn();
