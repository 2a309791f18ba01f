/** How good a model of these labels is, by images drawn at random. */
import { Bar } from '../parts/bar.tsx';
import { Accuracy, IntervalLine } from '../parts/interval.tsx';
import { of } from '../parts/numbers.ts';
import { assistant, estimates } from '../state/assistant.ts';
import { progress } from '../state/folder.ts';
import { Spark } from '../parts/spark.tsx';

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
            Measured on {of(estimate.images, 'image')} drawn at random. More of them narrow the interval.
          </p>
        </>
      ) : features !== undefined ? (
        <>
          <p class="note">The backbone looks at your images. You can label meanwhile.</p>
          <Bar label="Computing features" done={features.done / features.total} />
        </>
      ) : (
        <p class="note">
          {isLearning
            ? 'Learning from your labels…'
            : (waiting ?? 'Comes with the first labelled images that were drawn at random.')}
        </p>
      )}
    </section>
  );
}
