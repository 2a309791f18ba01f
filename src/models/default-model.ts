/**
 * What training starts from where no model is given: MobileNetV4-Conv-S (Qin et al. 2024), 3.8
 * million parameters, 224 pixels.
 */
export const defaultModel = 'hf:onnx-community/mobilenetv4_conv_small.e2400_r224_in1k';
