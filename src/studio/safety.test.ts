import assert from 'node:assert/strict';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder, writeTree } from '../testing/image-files.js';
import { ask, openStudio, type Asked } from '../testing/studio-client.js';
import type { Failure, Folder, Labels, StudioImage } from './protocol.js';

test('who is not the page of the studio gets nothing, in whatever way he asks', async (t) => {
  const folder = join(await temporaryFolder(t), 'photos');
  const outside = join(folder, '../outside');
  await writeTree(folder, { 'a/1.png': 1, 'b/2.png': 2 });
  await writeTree(outside, { 'secret.png': 3 });
  await symlink(join(outside, 'secret.png'), join(folder, 'a/link.png'));
  await symlink(outside, join(folder, 'c'));
  const page = join(folder, '../page');
  await mkdir(page);
  await writeFile(join(page, 'index.html'), 'the page');
  const { address, window, ready } = await openStudio(t, { folder, page });
  await ready;
  const { port, cookie } = window,
    host = `127.0.0.1:${port}`,
    origin = `http://${host}`;
  const json = { cookie, origin, 'content-type': 'application/json' };
  const post = (body: unknown, headers: Asked['headers'] = json): Asked => ({
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  const change = [{ id: 0, was: 'a', to: 'b', source: 'person' }];
  const attacks: readonly (readonly [what: string, status: number, path: string, asked: Asked])[] = [
    ['no cookie', 403, '/api/labels', {}],
    ['no cookie, for the page', 403, '/', {}],
    ['no cookie, for events', 403, '/api/events', {}],
    ['a wrong cookie', 403, '/api/labels', { headers: { cookie: `${cookie.slice(0, -3)}AAA` } }],
    ['a wrong token', 403, '/?token=AAAA', {}],
    ['DNS rebinding', 403, '/api/labels', { headers: { cookie, host: `evil.example:${port}` } }],
    [
      'DNS rebinding, with the token',
      403,
      new URL(address).pathname + new URL(address).search,
      {
        headers: { host: `evil.example:${port}` },
      },
    ],
    ['another port in Host', 403, '/api/labels', { headers: { cookie, host: '127.0.0.1:1' } }],
    ['another origin', 403, '/api/labels', { headers: { cookie, origin: 'http://evil.example' } }],
    ['a page of another port', 403, '/api/labels', { headers: { cookie, origin: 'http://127.0.0.1:1' } }],
    ['an image in another page', 403, '/api/thumbnail/0', { headers: { cookie, 'sec-fetch-site': 'cross-site' } }],
    ['events in a page of another port', 403, '/api/events', { headers: { cookie, 'sec-fetch-site': 'same-site' } }],
    ['a change from another origin', 403, '/api/labels', post(change, { ...json, origin: 'http://evil.example' })],
    ['a change without an origin', 403, '/api/labels', post(change, { ...json, origin: undefined })],
    ['a form of another page', 415, '/api/labels', post(change, { ...json, 'content-type': 'text/plain' })],
    ['another method', 405, '/api/labels', { method: 'DELETE', headers: json }],
    ['a large body', 413, '/api/labels', { method: 'POST', headers: json, body: `[${' '.repeat(9 * 2 ** 20)}]` }],
    ['no JSON', 400, '/api/labels', { method: 'POST', headers: json, body: '{' }],
    ['no list', 400, '/api/labels', post({ id: 0 })],
    ['an image that is none', 400, '/api/labels', post([{ id: 99, was: null, to: 'x', source: 'person' }])],
    ['an id that is a path', 400, '/api/labels', post([{ id: '../x', was: null, to: 'x', source: 'person' }])],
    ['a class of two lines', 400, '/api/classes', post({ add: 'a\nb' })],
    ['an id above all', 404, '/api/thumbnail/99', { headers: { cookie } }],
    ['an id that leads out', 400, '/api/thumbnail/..%2f..%2foutside%2fsecret.png', { headers: { cookie } }],
    ['an id below zero', 400, '/api/picture/-1', { headers: { cookie } }],
    ['a count without end', 400, '/api/next?count=1e99', { headers: { cookie } }],
    ['a run that leads out', 404, '/api/runs/..%2f..%2foutside', { headers: { cookie } }],
    ['a run called __proto__', 404, '/api/runs/__proto__', { headers: { cookie } }],
    ['a file of a run that leads out', 404, '/api/runs/x/files/..%2f..%2flabels.csv', { headers: { cookie } }],
    ['a form of __proto__', 404, '/api/options/__proto__', { headers: { cookie } }],
    ['a page that leads out', 404, '/..%2foutside%2fsecret.png', { headers: { cookie } }],
    ['a page that leads out, plainly', 404, '/../outside/secret.png', { headers: { cookie } }],
    ['a folder of its own choice for a run', 400, '/api/runs', post({ command: 'train', options: { out: '/tmp/x' } })],
    ['a list of another run', 400, '/api/runs', post({ command: 'learn', options: { teachers: '/etc/passwd' } })],
    ...['augment', 'strong'].map(
      (name) =>
        [
          `a policy file as ${name}`,
          400,
          '/api/forecast',
          post({ command: 'train', options: { [name]: ' /x.JSON ' } }),
        ] as const,
    ),
    ['another command', 400, '/api/runs', post({ command: 'export', options: {} })],
  ];
  for (const [what, status, path, asked] of attacks) {
    const answer = await ask(port, path, { ...asked, headers: { host, ...asked.headers } });
    assert.equal(answer.status, status, `${what}: ${answer.text.slice(0, 200)}`);
    assert.ok(!answer.text.includes(folder), `${what}: tells where the folder is`);
  }
  // What the page itself never sends is named, with the request.
  const wrong: readonly [says: RegExp, path: string, asked: Asked][] = [
    [/^POST \/api\/labels: the body: a list of changes is expected, got /, '/api/labels', post({ id: 0 })],
    [/^POST \/api\/labels: was: a text is expected, got 3$/, '/api/labels', post([{ id: 0, was: 3, to: 'x' }])],
    [
      /^POST \/api\/check: id: .* below 2, the number of images, .* got 9$/,
      '/api/check',
      post({ queue: 'labels', id: 9 }),
    ],
    [
      /^GET \/api\/next: count: a whole number up to 500 is expected, got "x"$/,
      '/api/next?count=x',
      { headers: { cookie } },
    ],
  ];
  for (const [says, path, asked] of wrong) {
    const answer = await ask(port, path, { ...asked, headers: { host, ...asked.headers } });
    assert.equal(answer.status, 400);
    assert.match((JSON.parse(answer.text) as Failure).error.message, says);
  }
  // A person who opens an address of before is told what to do, by a page that holds nothing else.
  const stale = await ask(port, '/', { headers: { host, accept: 'text/html', cookie: `${cookie.slice(0, -3)}AAA` } });
  assert.equal(stale.status, 403);
  assert.match(stale.text, /<h1>The studio has another address<\/h1>/);
  assert.match(String(stale.headers['content-security-policy']), /^default-src 'none'; style-src 'sha256-/);
  assert.ok(!stale.text.includes(folder) && !stale.text.includes(new URL(address).searchParams.get('token')!));
  assert.deepEqual((await window.get<Labels>('/api/labels')).classes, ['a', 'b'], 'nothing was changed');
  const paths = (await window.get<StudioImage[]>('/api/images')).map(({ path }) => path);
  assert.deepEqual(paths, ['a/1.png', 'b/2.png'], 'links out of the folder are not followed');
  const { unreadable } = await window.get<Folder>('/api/folder');
  assert.match(unreadable.map(({ reason }) => reason).join(), /outside the folder/);
});

test('the first address gives a cookie that scripts cannot read, and pages load nothing from elsewhere', async (t) => {
  const folder = await temporaryFolder(t);
  const { address, window } = await openStudio(t, { folder });
  const { port, search, hostname } = new URL(address);
  assert.equal(hostname, '127.0.0.1');
  const first = await ask(Number(port), `/${search}`);
  assert.deepEqual([first.status, first.headers['location']], [303, '/']);
  assert.match(String(first.headers['set-cookie']), /HttpOnly.*SameSite=Strict/);
  assert.ok(!String(first.headers['set-cookie']).includes(search.slice('?token='.length)));
  const { status, headers } = await ask(Number(port), '/', { headers: { cookie: window.cookie } });
  assert.equal(status, 200);
  const policy = String(headers['content-security-policy']);
  assert.match(policy, /^default-src 'none'; script-src 'self' 'wasm-unsafe-eval';/);
  assert.ok(!/unsafe-inline|https?:|\*/.test(policy), policy);
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal(headers['referrer-policy'], 'no-referrer');
});

test('a link that takes the place of an image is not followed', async (t) => {
  const folder = join(await temporaryFolder(t), 'photos');
  await writeTree(folder, { '1.png': 1, '../secret.png': 2 });
  const { window, ready } = await openStudio(t, { folder });
  await ready;
  const { rm } = await import('node:fs/promises');
  await rm(join(folder, '1.png'));
  await symlink(join(folder, '../secret.png'), join(folder, '1.png'));
  const { status } = await ask(window.port, '/api/picture/0', { headers: { cookie: window.cookie } });
  assert.equal(status, 404);
});

test('strangers that ask again and again are told to wait, and a slow one keeps nobody else waiting', async (t) => {
  const { window } = await openStudio(t, { folder: await temporaryFolder(t) });
  const slow = connect(window.port, '127.0.0.1');
  t.after(() => slow.destroy());
  slow.on('error', () => undefined);
  slow.write('POST /api/labels HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n');
  const statuses = new Set<number>();
  for (let i = 0; i < 30; i++)
    for (const { status } of await Promise.all(Array.from({ length: 20 }, () => ask(window.port, '/api/labels'))))
      statuses.add(status);
  assert.deepEqual(
    [...statuses].sort((a, b) => a - b),
    [403, 429],
  );
  assert.equal((await window.get<Folder>('/api/folder')).images, 0, 'the page itself is answered');
});
