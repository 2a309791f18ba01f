/**
 * SVG to PNG, with a font of our own, so that a picture is the same on a machine without fonts. The
 * only importer of resvg.
 */
import { createRequire } from 'node:module';
import { join, dirname } from 'node:path';

const require = createRequire(import.meta.url);
const fonts = dirname(require.resolve('@expo-google-fonts/pt-sans/package.json'));
/** The font's files by weight. */
export const fontFiles = {
  regular: join(fonts, '400Regular/PTSans_400Regular.ttf'),
  bold: join(fonts, '700Bold/PTSans_700Bold.ttf'),
} as const;

/** Family that SVG texts should name. */
export const fontFamily = 'PT Sans';

/**
 * Characters that the font has not: Latin, Greek and Cyrillic are there; for others the machine's
 * fonts are asked.
 */
const foreign = /[^\u0000-\u052f\u2000-\u22ff]/;

/** The picture as a PNG file; `zoom` multiplies its size (default 1), the background is white. */
export async function rasterise(svg: string, { zoom = 1 }: { zoom?: number } = {}): Promise<Uint8Array> {
  const { renderAsync } = await import('@resvg/resvg-js');
  const picture = await renderAsync(svg, {
    background: '#ffffff',
    fitTo: { mode: 'zoom', value: zoom },
    font: {
      fontFiles: Object.values(fontFiles),
      defaultFontFamily: fontFamily,
      sansSerifFamily: fontFamily,
      loadSystemFonts: foreign.test(svg),
    },
  });
  return picture.asPng();
}
