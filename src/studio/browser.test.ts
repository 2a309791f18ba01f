import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { noisePng, temporaryFolder } from '../testing/image-files.js';
import { openWindow } from '../testing/studio-client.js';
import { until } from '../testing/studio-photos.js';
import { whyNoBrowser } from './browser.js';

const main = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const script = '/usr/bin/script';
/** The terminal of util-linux, in which a command sits as before a person. */
const skip = process.platform === 'linux' && existsSync(script) ? false : 'needs script of util-linux';
const node = process.execPath;
const quick = ['demo', '--rungs', 'supervised', '--epochs', '1', '--folds', '0', '--workers', '0', '--out', 'run'];

interface Started {
  readonly child: ChildProcess;
  /** What was printed so far. */
  said(): string;
  /** Waits for what is printed, and returns it. */
  says(pattern: RegExp): Promise<string>;
  readonly ended: Promise<number | null>;
}

function follow(t: TestContext, child: ChildProcess): Started {
  let text = '';
  child.stdout!.on('data', (part: Buffer) => (text += part.toString()));
  child.stderr!.on('data', (part: Buffer) => (text += part.toString()));
  t.after(() => child.kill('SIGKILL'));
  const said = (): string => text;
  return {
    child,
    said,
    ended: new Promise((resolve) => child.once('close', resolve)),
    says: async (pattern) =>
      pattern.exec(
        await until(
          () => Promise.resolve(said()),
          (all) => pattern.test(all),
          120,
        ),
      )![0],
  };
}

/** A folder to start commands in, with images, and a browser that writes down what it is to open. */
async function desk(t: TestContext): Promise<{ folder: string; environment: NodeJS.ProcessEnv; opened: string }> {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, 'photos'));
  for (let i = 0; i < 3; i++) await writeFile(join(folder, 'photos', `${i}.png`), await noisePng(i));
  const browser = join(folder, 'browser'),
    opened = join(folder, 'opened');
  await writeFile(browser, `#!/bin/sh\nprintf %s "$1" > "${opened}.new" && mv "${opened}.new" "${opened}"\n`);
  await chmod(browser, 0o755);
  // No desktop of this machine is asked which browser it has.
  const environment = {
    PATH: process.env['PATH'],
    HOME: folder,
    XDG_DATA_DIRS: folder,
    PUPIL_CACHE: join(folder, 'cache'),
    DISPLAY: ':0',
    BROWSER: browser,
    TERM: 'xterm',
  };
  return { folder, environment, opened };
}

const address = /http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]+(#\/\w+)?/;

test(
  'studio, label, demo --open and try open the browser at their place, before a person',
  { skip, timeout: 600_000 },
  async (t) => {
    const { folder, environment, opened } = await desk(t);
    for (const { command, place } of [
      { command: ['studio', 'photos'], place: '' },
      { command: ['label', 'photos'], place: '#/label' },
      { command: [...quick, '--open'], place: '#/try' },
      { command: ['try', 'run'], place: '#/try' },
    ]) {
      const typed = [node, main, ...command].map((word) => `'${word}'`).join(' ');
      const { child, says, said, ended } = follow(
        t,
        spawn(script, ['-qec', typed, '/dev/null'], { cwd: folder, env: environment, stdio: 'pipe' }),
      );
      const printed = await says(address);
      const given = await until(
        () => readFile(opened, 'utf8').catch(() => ''),
        (text) => text !== '',
      );
      assert.equal(given, printed, command.join(' '));
      assert.equal(new URL(given).hash, place);
      const window = await openWindow(given);
      if (place === '#/try')
        assert.deepEqual(
          (await window.get<{ name: string }[]>('/api/runs')).map(({ name }) => name),
          ['run'],
        );
      else assert.equal((await window.get<unknown[]>('/api/images')).length, 3);
      assert.doesNotMatch(said(), /No browser was opened/);
      child.stdin!.write('\u0003');
      assert.equal(await ended, 130, said());
      await writeFile(opened, '');
    }
  },
);

test(
  'without a display the address is to be opened by hand; demo --open waits there until Ctrl-C',
  { skip: process.platform === 'linux' ? false : 'displays are those of Linux', timeout: 600_000 },
  async (t) => {
    const { folder, environment, opened } = await desk(t);
    const start = (...command: string[]): Started =>
      follow(t, spawn(node, [main, ...command], { cwd: folder, env: { ...environment, DISPLAY: '' }, stdio: 'pipe' }));
    const demo = start(...quick, '--open');
    const told = await demo.says(
      /No browser was opened \(there is no display\): open .* in a browser on this machine\./,
    );
    assert.equal(address.exec(told)![0], await demo.says(address));
    const window = await openWindow(address.exec(told)![0]);
    assert.deepEqual(
      (await window.get<{ name: string }[]>('/api/runs')).map(({ name }) => name),
      ['run'],
    );
    assert.equal(demo.child.exitCode, null, 'it goes on');
    demo.child.kill('SIGINT');
    assert.equal(await demo.ended, 130, demo.said());

    const studio = start('studio', 'photos', '--no-open');
    await studio.says(/until Ctrl-C/);
    studio.child.kill('SIGINT');
    await studio.ended;
    assert.doesNotMatch(studio.said(), /No browser/);
    assert.equal(existsSync(opened), false);
  },
);

test('a browser that does not start is told of, and the studio goes on', { skip, timeout: 120_000 }, async (t) => {
  const { folder, environment } = await desk(t);
  const { child, says, ended } = follow(
    t,
    spawn(node, [main, 'studio', 'photos', '--open'], {
      cwd: folder,
      env: { ...environment, BROWSER: '/bin/false' },
      stdio: 'pipe',
    }),
  );
  const told = await says(/No browser was opened \(none could be started\): open .* in a browser/);
  assert.equal((await (await openWindow(address.exec(told)![0])).get<unknown[]>('/api/images')).length, 3);
  child.kill('SIGINT');
  await ended;
});

test(
  'a demo that was interrupted says how to go on with it, and goes on',
  { timeout: 600_000, skip: process.platform === 'win32' ? 'has no SIGINT' : false },
  async (t) => {
    const { folder, environment } = await desk(t);
    const start = (...command: string[]): Started =>
      follow(t, spawn(node, [main, ...command], { cwd: folder, env: { ...environment, DISPLAY: '' }, stdio: 'pipe' }));
    const first = start(...quick.map((word) => (word === '1' ? '60' : word)), '--open');
    await first.says(/epoch \d+\/60/);
    first.child.kill('SIGINT');
    assert.equal(await first.ended, 130, first.said());
    const [, command] = /continue with pupil (demo --open --resume \S+)\s*$/.exec(first.said()) ?? [];
    assert.ok(command, first.said());
    const second = start(...command.split(' '));
    await second.says(/continuing after step \d+ of/);
    await second.says(/No browser was opened/);
    second.child.kill('SIGINT');
    assert.equal(await second.ended, 130);
  },
);

test('a browser is opened on a desktop, and where a person asks for it by name', () => {
  const at = (platform: NodeJS.Platform, environment: NodeJS.ProcessEnv, isTerminal = true, asked?: boolean) =>
    whyNoBrowser({ platform, environment, isTerminal }, asked);
  assert.equal(at('linux', { DISPLAY: ':0' }), undefined);
  assert.equal(at('linux', { WAYLAND_DISPLAY: 'wayland-0' }), undefined);
  assert.equal(at('linux', { WSL_DISTRO_NAME: 'Ubuntu' }), undefined);
  assert.equal(at('darwin', {}), undefined);
  assert.equal(at('win32', {}), undefined);
  assert.match(at('linux', { DISPLAY: '' })!, /no display/);
  assert.match(at('linux', {}, true, true)!, /no display/);
  assert.match(at('darwin', { CI: 'true' })!, /CI/);
  assert.match(at('darwin', {}, false)!, /no terminal/);
  assert.equal(at('darwin', { CI: 'true' }, false, true), undefined);
});
