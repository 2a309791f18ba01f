import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { ask } from '../testing/studio-client.js';
import { smallClassifier } from '../testing/serve-model.js';
import { largest, serve } from './server.js';

test('an image is answered as by predict; what is no image, too large or of a web page is refused', async (t) => {
  const { run, image, expected } = await smallClassifier(t);
  const serving = await serve(run);
  t.after(() => serving.close());
  const port = Number(new URL(serving.address).port);
  const bytes = await readFile(image);
  const post = (body: Uint8Array | string, headers: Record<string, string> = {}, path = '/predict') =>
    ask(port, path, { method: 'POST', body, headers: { 'content-type': 'image/png', ...headers } });
  const { status, text } = await post(bytes);
  assert.equal(status, 200, text);
  const said = JSON.parse(text) as { label: string; probabilities: Record<string, number> };
  for (const [name, probability] of Object.entries(expected.probabilities))
    assert.ok(Math.abs(said.probabilities[name]! - probability) < 1e-6);
  assert.equal((await post('no image')).status, 400);
  assert.equal((await post('')).status, 400);
  // A body that does not say its length, and none at all.
  const streamed = await fetch(`${serving.address}/predict`, {
    method: 'POST',
    body: new Blob([bytes]).stream(),
    duplex: 'half',
  } as RequestInit);
  assert.deepEqual([streamed.status, await streamed.json()], [200, said]);
  const nothing = await fetch(`${serving.address}/predict`, { method: 'POST' });
  assert.equal(nothing.status, 400, await nothing.text());
  // The connection may end before all is sent.
  const large = await post(new Uint8Array(largest + 1), { connection: 'close' }).catch(() => ({ status: 413 }));
  assert.equal(large.status, 413);
  assert.equal((await post(bytes, { origin: 'http://evil.example' })).status, 403);
  assert.equal((await post(bytes, { host: 'evil.example' })).status, 403);
  assert.equal((await ask(port, '/nothing')).status, 404);
  const openapi = JSON.parse((await ask(port, '/openapi.json')).text) as { openapi: string; paths: object };
  assert.equal(openapi.openapi, '3.1.0');
  assert.ok('/predict' in openapi.paths);
  const many = await Promise.all(Array.from({ length: 80 }, () => post(bytes)));
  const busy = many.filter((answer) => answer.status === 503);
  assert.ok(many.every((answer) => answer.status === 200 || answer.status === 503));
  assert.ok(busy.every(({ headers }) => headers['retry-after'] === '1'));
});

test('a server that ends answers who is asking, and takes nothing more', async (t) => {
  const { run, image } = await smallClassifier(t);
  const serving = await serve(run);
  const { port } = new URL(serving.address);
  const body = await readFile(image);
  const headers = { 'content-type': 'image/png', 'content-length': body.length };
  const sent = request({ host: '127.0.0.1', port, path: '/predict', method: 'POST', headers });
  const answered = new Promise<number | undefined>((resolve, reject) => {
    sent.on('response', (answer) => resolve(answer.resume().statusCode));
    sent.on('error', reject);
  });
  await new Promise<void>((resolve) => sent.write(body.subarray(0, 10), () => resolve()));
  // The server has heard of it when it answers somebody who came later.
  assert.equal((await ask(Number(port), '/health')).status, 200);
  const closed = serving.close();
  sent.end(body.subarray(10));
  assert.equal(await answered, 200);
  await closed;
  await assert.rejects(ask(Number(port), '/health'), { code: 'ECONNREFUSED' });
});

test('Label Studio gets a choice for each task, by the names in its labelling interface', async (t) => {
  const { run, image, expected } = await smallClassifier(t);
  const serving = await serve(run);
  t.after(() => serving.close());
  const port = Number(new URL(serving.address).port);
  const post = async (path: string, body: object) => {
    const headers = { 'content-type': 'application/json' };
    return JSON.parse((await ask(port, path, { method: 'POST', headers, body: JSON.stringify(body) })).text) as never;
  };
  const setup = (await post('/setup', { project: '1' })) as { model_version: string };
  const picture = `data:image/png;base64,${(await readFile(image)).toString('base64')}`;
  const { results } = (await post('/predict', {
    tasks: [
      { id: 1, data: { photo: picture } },
      { id: 2, data: { photo: 'http://127.0.0.1:1/secret.png' } },
    ],
    label_config: '<View><Image name="img" value="$photo"/><Choices name="kind" toName="img"></Choices></View>',
  })) as { results: { result: object[]; score: number; model_version: string }[] };
  assert.equal(results.length, 2);
  const choice = { from_name: 'kind', to_name: 'img', type: 'choices', value: { choices: [expected.label] } };
  assert.deepEqual(results[0]!.result, expected.none ? [] : [choice]);
  assert.equal(results[0]!.model_version, setup.model_version);
  assert.deepEqual(results[1]!.result, [], 'nothing is fetched from elsewhere');
});

test('beyond this machine there is no answer without a token', async (t) => {
  const { run, image } = await smallClassifier(t);
  await assert.rejects(serve(run, { host: '0.0.0.0' }), { code: 'usage', option: 'token' });
  await assert.rejects(serve(join(run, 'nothing')), { code: 'not-found' });
  const serving = await serve(run, { host: '0.0.0.0', token: 'secret' });
  t.after(() => serving.close());
  const port = Number(new URL(serving.address).port);
  const body = await readFile(image);
  const post = (authorization?: string) =>
    ask(port, '/predict', { method: 'POST', body, headers: { 'content-type': 'image/png', authorization } });
  assert.equal((await post()).status, 401);
  assert.equal((await post('Bearer wrong')).status, 401);
  assert.equal((await post('Bearer secret')).status, 200);
});
