/** Windows of the studio's page in Chromium, for tests. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import type { StudioOptions } from '../studio/server.js';
import { openBrowser, skipWithoutChromium } from './browser.js';
import { openStudio, type Window } from './studio-client.js';

/** The built page. */
export const built = fileURLToPath(new URL('../studio/page/', import.meta.url));
/** Why tests of the page cannot run here; false where they can. */
export const skipped = existsSync(built) ? skipWithoutChromium : 'needs npm run build';

export interface Opened {
  readonly page: Page;
  readonly window: Window;
  /** The address without its token. */
  readonly base: string;
}

interface Bearable {
  /** What the console may complain of. */
  readonly expected?: RegExp;
  /** Flags of the browser. */
  readonly gpu?: readonly string[];
}

/** A window of a studio that is started, in which nothing may fail and nothing is asked from elsewhere. */
export async function openPage(t: TestContext, options: StudioOptions, bearable: Bearable = {}): Promise<Opened> {
  const { address, window, ready } = await openStudio(t, options);
  await ready;
  const page = await visit(t, address, bearable);
  return { page, window, base: new URL('/', address).href };
}

/** Opens an address of a studio: nothing may fail, and nothing may be asked from elsewhere. */
export async function visit(
  t: TestContext,
  address: string,
  { expected = /status of 409|ERR_/, gpu }: Bearable = {},
): Promise<Page> {
  const browser = await openBrowser(t, gpu);
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(60_000);
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !expected.test(message.text()))
      problems.push(`${message.text()} ${message.location().url}`);
  });
  // What the server said of it: the console has the status alone.
  page.on('response', async (response) => {
    if (response.status() < 400 || expected.test(`status of ${response.status()}`)) return;
    const said = await response.text().catch(() => '');
    problems.push(`${response.request().method()} ${response.url()}: ${response.status()} ${said.slice(0, 500)}`);
  });
  page.on('request', (request) => {
    if (/^http/.test(request.url()) && new URL(request.url()).host !== new URL(address).host)
      problems.push(request.url());
  });
  t.after(() => assert.deepEqual(problems, []));
  await page.goto(address);
  return page;
}

export const sections = ['Start', 'Label', 'Check', 'Augment', 'Train', 'Try', 'Look'] as const;
export type SectionName = (typeof sections)[number];

export const goTo = (page: Page, section: SectionName): Promise<void> =>
  page.getByRole('navigation', { name: 'Sections' }).getByRole('link', { name: section }).click();

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds serious. */
export async function complaints(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { axe: tester } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> };
    };
    const { violations } = await tester.run();
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes[0]!.html}`);
  });
}

/** Pixels of a small phone. */
export const phone = { width: 360, height: 740 } as const;

/** What is shown now has nothing serious for axe, light and dark, and fits a phone. */
export async function assertAccessible(page: Page, where: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await complaints(page), [], `${where}, ${colorScheme}`);
  }
  const before = page.viewportSize()!;
  await page.setViewportSize(phone);
  assert.equal(await isWide(page), false, `${where}, on a phone`);
  assert.equal(await isTall(page), false, `${where}, on a phone`);
  await page.setViewportSize(before);
}

/** Whether the page itself scrolls, not its content alone: below is nothing. */
const isTall = (page: Page): Promise<boolean> =>
  page.evaluate(() => {
    const { scrollHeight, clientHeight } = globalThis.document.documentElement;
    return scrollHeight > clientHeight;
  });

/** Whether something is wider than the window. */
export const isWide = (page: Page): Promise<boolean> =>
  page.evaluate(() =>
    [globalThis.document.documentElement, globalThis.document.querySelector('main')!].some(
      (element) => element.scrollWidth > element.clientWidth,
    ),
  );

/** Holds requests to an address back, until what is returned is called. */
export async function holdBack(page: Page, address: string): Promise<() => void> {
  let release = (): void => undefined;
  const late = new Promise<void>((resolve) => (release = resolve));
  await page.route(address, (route) => late.then(() => route.continue()));
  return release;
}
