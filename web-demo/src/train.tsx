/** Training, and what came out. */
import { Bar } from '../../studio/src/parts/bar.tsx';
import { duration, interval, percent, size } from '../../studio/src/parts/numbers.ts';
import { usual } from './backbone.ts';
import { address, missing, outcome } from './state.ts';
import { model, problem, progress, startTraining, stopTraining, type Model } from './training.ts';

function Backbone() {
  return (
    <details class="backbone" open={address.value !== usual.address}>
      <summary>The pretrained network</summary>
      <p class="note">
        Usually MobileNetV4-Conv-S from the Hugging Face hub: 15 MB, licence apache-2.0. The model that you train keeps
        the licence of the network that it comes from.
      </p>
      <label>
        Address of its ONNX file; it is the only file that is fetched from elsewhere
        <input
          type="url"
          spellcheck={false}
          value={address.value}
          onChange={({ currentTarget }) => (address.value = currentTarget.value)}
        />
      </label>
    </details>
  );
}

function Result({ made: { bytes, address: file } }: { readonly made: Model }) {
  const { heldOut, seconds } = outcome.value ?? { seconds: 0 };
  return (
    <div class="card">
      <p>
        {heldOut === undefined
          ? 'Trained. With two photos of each class or more it is also measured.'
          : `${percent(heldOut.top1)} of ${heldOut.count} photos are recognised when the model has not seen them ` +
            `(95% interval ${interval([heldOut.low, heldOut.high])}).`}{' '}
        <span class="note">It took {duration(seconds)}.</span>
      </p>
      <p class="row">
        <a class="button primary" href={file} download="model.onnx">
          Download model.onnx
        </a>
        <small>{size(bytes)}, for any onnxruntime</small>
      </p>
      <pre tabIndex={0}>
        <code>npx pupil evaluate model.onnx photos</code>
      </pre>
    </div>
  );
}

export function TrainPart() {
  const running = progress.value;
  return (
    <>
      <h2>2. Train</h2>
      <Backbone />
      <div class="row">
        {running === null ? (
          <button class="primary" disabled={missing.value !== null} onClick={() => void startTraining()}>
            Train
          </button>
        ) : (
          <button onClick={stopTraining}>Stop</button>
        )}
        <span class="note" role="status">
          {running?.says ?? missing.value ?? ''}
        </span>
      </div>
      {running !== null && <Bar label="Training" done={running.done} />}
      {problem.value !== null && (
        <p class="failure" role="alert">
          {problem.value}
        </p>
      )}
      {model.value !== null && <Result made={model.value} />}
    </>
  );
}
