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

/** The one at an address; `?backbone=ADDRESS` of the page names one. */
export const backboneAt = (address: string): Backbone => (address === usual.address ? usual : { address });

export const asked = backboneAt(new URLSearchParams(location.search).get('backbone') ?? usual.address);
