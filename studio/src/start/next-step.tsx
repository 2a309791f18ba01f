/** The one thing to do next. */
import { of } from '../parts/numbers.ts';
import { addressOf, type Section } from '../route.ts';
import { queues } from '../state/queues.ts';
import { folder, isScanning, present } from '../state/folder.ts';
import { classes, counts, labelled } from '../state/labels.ts';
import { isGoing, runs } from '../state/runs.ts';
import { ExpectedTime } from '../train/expected.tsx';
import { asked } from '../train/values.ts';

interface Step {
  readonly title: string;
  readonly says: string;
  readonly section?: Section | undefined;
  readonly words?: string | undefined;
}

/** Labels of each class that make a first training worth its time. */
const enough = 10;

function nextStep(): Step {
  if (isScanning.value) return { title: 'Looking for images', says: 'You can start as soon as they are found.' };
  if (present.value.length === 0)
    return runs.value.length > 0
      ? { title: 'Try the run', says: 'Drop images on it, or use the camera.', section: 'try', words: 'Try it' }
      : {
          title: 'No images here yet',
          says: 'Drop photos below, or open another folder. JPEG, PNG, WebP, HEIC and others.',
        };
  const going = runs.value.find(isGoing);
  if (going !== undefined)
    return { title: `${going.name} is running`, says: 'Watch it learn.', section: 'train', words: 'Watch' };
  if (runs.value.some(({ state }) => state === 'finished'))
    return {
      title: 'Try the model',
      says: 'Drop images on it, or use the camera. More labels, and corrected ones, make the next one better.',
      section: 'try',
      words: 'Try it',
    };
  const few = Math.min(...classes.value.map((name) => counts.value.get(name) ?? 0));
  if (classes.value.length < 2 || few < enough)
    return {
      title: labelled.value === 0 ? 'Label a few images' : 'Label a few more',
      says: `About ${enough} images of each class make a first model. Those that teach most come first.`,
      section: 'label',
      words: labelled.value === 0 ? 'Start labelling' : 'Go on labelling',
    };
  const doubts = queues.value.labels.length;
  if (doubts > 0)
    return {
      title: `Check ${of(doubts, 'label')}`,
      says: 'The model disagrees with them. Keep or correct each in a keystroke.',
      section: 'check',
      words: 'Check',
    };
  return {
    title: 'Train a model',
    says: `You have ${of(labelled.value, 'label')} of ${of(classes.value.length, 'class', 'classes')}.`,
    section: 'train',
    words: 'Train',
  };
}

export function NextStep() {
  if (folder.value === null) return null;
  const { title, says, section, words } = nextStep();
  return (
    <section class="card next">
      <div>
        <h2>{title}</h2>
        <p>{says}</p>
        {section === 'train' && folder.value.backbone !== null && !runs.value.some(isGoing) && (
          <ExpectedTime request={asked()} />
        )}
      </div>
      {section && (
        <a class="button primary" href={addressOf(section)}>
          {words}
        </a>
      )}
    </section>
  );
}
