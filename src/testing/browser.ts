/** A Chromium for tests of pages. */
import { existsSync } from 'node:fs';
import type { TestContext } from 'node:test';
import type { Browser } from 'playwright-core';
import { endAfter } from './image-files.js';

const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);

export const skipWithoutChromium = chromium === undefined ? 'needs Chromium' : false;

/** Is closed after the test. Its camera is a moving picture. */
export async function openBrowser(t: TestContext): Promise<Browser> {
  const { chromium: browserType } = await import('playwright-core');
  const camera = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];
  const browser = await browserType.launch({
    executablePath: chromium!,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', ...camera],
  });
  endAfter(t, () => browser.close());
  return browser;
}
