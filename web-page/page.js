/** A page that classifies images in the visitor's browser, with the model beside it. */
import { loadModel } from './pupil.js';

const $ = (selector) => document.querySelector(selector);
const element = (name, text, attributes = {}) =>
  Object.assign(document.createElement(name), { textContent: text }, attributes);
const percent = (share) => `${Math.round(100 * share)}%`;
/** Classes that are shown of a prediction. */
const most = 5;

navigator.serviceWorker?.register('offline.js').catch(() => undefined);
fetch('code.txt')
  .then((response) => response.text())
  .then((text) => ($('#code').textContent = text));
fetch('about.json')
  .then((response) => response.json())
  .then(
    ({ origins }) =>
      ($('#licence').textContent = origins
        .map(({ name, licence }) => `Pretrained network ${name ?? ''}: licence ${licence ?? 'unknown'}.`)
        .join(' ')),
  );

const model = loadModel(new URL('model.onnx', location.href));
model.then(
  ({ labels }) =>
    ($('#classes').textContent = `It tells ${labels.slice(0, 20).join(', ')}${labels.length > 20 ? '…' : ''}.`),
  (error) => ($('#classes').textContent = error.message),
);

/** What the model says, as bars. */
function said({ label, none, probabilities }) {
  const all = Object.entries(probabilities).sort(([, a], [, b]) => b - a);
  const list = element('ol', '');
  for (const [name, share] of all.slice(0, most)) {
    const bar = element('meter', '', { value: share, max: 1 });
    const item = element('li', '');
    item.append(element('span', name), bar, element('span', percent(share)));
    list.append(item);
  }
  const verdict = element('p', none ? 'None of these' : label, { className: 'verdict' });
  return [verdict, list];
}

async function show(file) {
  const item = element('li', ''),
    answer = element('div', '…', { className: 'said' });
  const picture = element('img', '', { alt: file.name ?? 'image', src: URL.createObjectURL(file) });
  item.append(picture, answer);
  $('#results').prepend(item);
  try {
    answer.replaceChildren(...said(await (await model).predict(file)));
  } catch (error) {
    answer.textContent = error.message;
  }
}

const take = (files) => [...files].filter(({ type }) => type.startsWith('image/')).forEach((file) => void show(file));
$('input').addEventListener('change', ({ target }) => take(target.files));
addEventListener('paste', ({ clipboardData }) => take(clipboardData.files));
addEventListener('dragover', (event) => event.preventDefault());
addEventListener('drop', (event) => {
  event.preventDefault();
  take(event.dataTransfer.files);
});

let stream;
$('#camera').addEventListener('click', async () => {
  const video = $('video');
  if (stream !== undefined) {
    stream.getTracks().forEach((track) => track.stop());
    stream = undefined;
  } else {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
    } catch {
      $('#live .said').textContent = 'There is no camera, or the page may not use it.';
    }
  }
  $('#live').hidden = false;
  video.hidden = stream === undefined;
  $('#camera').textContent = stream === undefined ? 'Use the camera' : 'Stop the camera';
  if (stream === undefined) return;
  video.srcObject = stream;
  await video.play();
  for (const own = stream; stream === own;) {
    const answer = await (await model).predict(video).catch(() => undefined);
    if (answer !== undefined) $('#live .said').replaceChildren(...said(answer));
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
});
