/** How good a model of these labels is, by images drawn at random. */
import { Bar } from '../parts/bar.tsx';
import type { Assistant } from '../protocol.ts';
import { Accuracy, IntervalLine } from '../parts/interval.tsx';
import { count, of } from '../parts/numbers.ts';
import { assistant, estimates } from '../state/assistant.ts';
import { present, progress } from '../state/folder.ts';
import { labelled, markOf } from '../state/labels.ts';
import { Spark } from '../parts/spark.tsx';
import { showDrawn } from './actions.ts';
import { show } from './view.ts';

function narrowing({ narrower }: NonNullable<Assistant['estimate']>): string {
  if (narrower === null) return '';
  const { images, within } = narrower;
  return `About ${count(images)} more of them make the interval ${(200 * within).toFixed(0)} points wide.`;
}

export function Estimate() {
  const { estimate, waiting } = assistant.value;
  const features = progress.value.get('features');
  const isLearning = progress.value.has('assistant');
  return (
    <section class={`estimate${isLearning ? ' busy' : ''}`} aria-label="Estimated accuracy">
      <h2>
        Estimated accuracy <Spark values={estimates.value} />
      </h2>
      {estimate !== null ? (
        <>
          <p aria-live="polite">
            <Accuracy {...estimate} />
          </p>
          <IntervalLine {...estimate} />
          <p class="note">
            Measured on {of(estimate.images, 'image')} drawn at random. {narrowing(estimate)}
          </p>
        </>
      ) : features !== undefined ? (
        <>
          <p class="note">The pretrained network looks at your images. You can label meanwhile.</p>
          <Bar label="Computing features" done={features.done / features.total} />
        </>
      ) : progress.value.has('comparison') ? (
        <>
          <p class="note">Your images are compared with each other. You can label meanwhile.</p>
          <Bar label="Comparing all images" done={undefined} />
        </>
      ) : (
        <p class="note">
          {isLearning
            ? 'Learning from your labels…'
            : (waiting ?? 'Comes with the first labelled images that were drawn at random.')}
        </p>
      )}
      {labelled.value > 0 && show.value.kind !== 'random' && present.value.some(({ id }) => markOf(id) === null) && (
        <button class="quiet" onClick={showDrawn}>
          Label those drawn at random
        </button>
      )}
    </section>
  );
}
