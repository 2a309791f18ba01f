/** The page that trains in its visitor's browser. */
import { render } from 'preact';
import { Notices } from '../../studio/src/parts/notices.tsx';
import { LabelPart } from './label.tsx';
import { TrainPart } from './train.tsx';
import { TryPart } from './try.tsx';

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
      <Notices />
    </>
  );
}

render(<Page />, document.getElementById('page')!);
