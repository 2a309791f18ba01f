/** The pretrained network that training starts from: the only file that may come from elsewhere. */

export interface Backbone {
  /** Of its ONNX file; also one beside the page. */
  readonly address: string;
  /** Where the file does not say how images are prepared. */
  readonly normalize?: string | undefined;
  readonly licence?: string | undefined;
}

/** Pupil's default, MobileNetV4-Conv-S. Its file does not say how images are prepared, nor its licence. */
export const usual: Backbone = {
  address: 'https://huggingface.co/onnx-community/mobilenetv4_conv_small.e2400_r224_in1k/resolve/main/onnx/model.onnx',
  normalize: 'imagenet',
  licence: 'apache-2.0',
};

/** The one at an address. */
export const backboneAt = (address: string): Backbone => (address === usual.address ? usual : { address });

const named = new URLSearchParams(location.search).get('backbone');
/** The one that `?backbone=ADDRESS` of the page names; undefined: none. */
export const asked = named === null ? undefined : backboneAt(named);

/**
 * The network's bytes, which the browser keeps where it can: the next training needs no network. Where they cannot be
 * fetched, the address itself: `train` says why.
 */
export async function networkAt({ address }: Backbone): Promise<Uint8Array | URL> {
  const url = new URL(address, location.href);
  const cache = await (globalThis as { caches?: CacheStorage }).caches?.open('backbones').catch(() => undefined);
  const kept = await cache?.match(url);
  const response = kept ?? (await fetch(url).catch(() => undefined));
  if (!response?.ok) return url;
  if (kept === undefined) await cache?.put(url, response.clone()).catch(() => undefined); // no space
  return new Uint8Array(await response.arrayBuffer());
}
