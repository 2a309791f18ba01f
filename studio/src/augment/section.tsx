/** What augmentation does to the images of the folder, drawn in the browser. */
import { Command } from '../parts/command.tsx';
import { of } from '../parts/numbers.ts';
import { addressOf, go } from '../route.ts';
import { folder, present } from '../state/folder.ts';
import { useForTraining } from '../train/values.ts';
import { drawn, failure, isDrawing } from './artist.ts';
import type { Asked } from './asked.ts';
import { sheetCommand, trainingOptions } from './commands.ts';
import { Controls } from './controls.tsx';
import { AugmentedSheet } from './sheet.tsx';
import { asked, drawAgain, mode, otherImages, policySettings } from './state.ts';

/** Options of `train` by name. */
function optionsOf(shown: Asked): Readonly<Record<string, string | number | boolean>> {
  if (shown.kind !== 'policy') return { augment: /'?(ops:[^']+)/.exec(trainingOptions(shown))?.[1] ?? 'basic' };
  const { policy, flip, erase, cutmix, mixup } = shown;
  return {
    augment: policy,
    ...(flip ? {} : { flip }),
    ...(erase > 0 ? { erase } : {}),
    ...(cutmix > 0 ? { cutmix } : {}),
    ...(mixup > 0 ? { mixup } : {}),
  };
}

function Result() {
  const sheet = drawn.value;
  return (
    <div class="augmented" aria-busy={isDrawing.value}>
      <p class="buttons">
        {mode.value === 'policy' && (
          <button class="primary" onClick={drawAgain}>
            Draw again
          </button>
        )}
        <button onClick={otherImages}>Other images</button>
        {mode.value === 'policy' && <small>seed {policySettings.value.seed}</small>}
      </p>
      {failure.value !== null && <p class="failure">{failure.value}</p>}
      {sheet !== null && sheet.broken.length > 0 && (
        <p class="note">This browser cannot decode {sheet.broken.join(', ')}.</p>
      )}
      {sheet !== null && <AugmentedSheet sheet={sheet} />}
    </div>
  );
}

export function AugmentSection() {
  if (present.value.length === 0)
    return (
      <>
        <h1>Augment</h1>
        <p class="empty">
          There are no images yet. <a href={addressOf('start')}>Add some</a> first.
        </p>
      </>
    );
  const shown = asked.value,
    training = trainingOptions(shown);
  return (
    <>
      <h1>Augment</h1>
      <p class="lead">
        What training would see of your {of(present.value.length, 'image')}: the same pixels as on the command line.
      </p>
      <div class="augment">
        <Controls />
        <div>
          <Result />
          <section class="card commands" aria-label="Command line">
            {training !== '' && <Command title="Options of training" text={training} />}
            <Command title="This sheet as a file" text={sheetCommand(shown, folder.value?.name ?? 'FOLDER')} />
            {training !== '' && (
              <button
                onClick={() => {
                  useForTraining(optionsOf(shown));
                  go('train');
                }}
              >
                Train with it
              </button>
            )}
          </section>
        </div>
      </div>
    </>
  );
}
