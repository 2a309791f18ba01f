/** A Chromium for tests of pages. */
import { existsSync } from 'node:fs';
import type { TestContext } from 'node:test';
import type { Browser } from 'playwright-core';
import { endAfter } from './image-files.js';

const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);

export const skipWithoutChromium = chromium === undefined ? 'needs Chromium' : false;

/** What gives a browser without a GPU a WebGPU adapter that computes on the processor. */
export const softwareGpu = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
  '--use-vulkan=swiftshader',
  '--ignore-gpu-blocklist',
] as const;

/** Is closed after the test. Its camera is a moving picture. It has no GPU unless `gpu` gives it one. */
export async function openBrowser(t: TestContext, gpu: readonly string[] = ['--disable-gpu']): Promise<Browser> {
  const { chromium: browserType } = await import('playwright-core');
  const camera = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];
  const browser = await browserType.launch({
    executablePath: chromium!,
    args: ['--no-sandbox', '--disable-background-networking', ...gpu, ...camera],
  });
  endAfter(t, () => browser.close());
  return browser;
}
