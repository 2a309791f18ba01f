// A convolution in another JavaScript library, as a process that measures when it is asked, like
// ours/serve.js: node serve.js JOB, JSON: library "tfjs wasm", "tfjs cpu" or "jax-js", part
// forward, input or weight (the gradients), batch, channels, size. 3x3, stride 1, padding 1.
import { answer, say } from '../../harness/answer.js';
import { testPixels } from '../../ours/data.js';

const job = JSON.parse(process.argv[2]);
const { batch, channels, size, part } = job;
const values = (count) => Float32Array.from(testPixels(count), (x) => x / 255 - 0.5);
const image = values(batch * channels * size * size),
  filter = values(channels * channels * 9);

/** TensorFlow.js asked for its kernels by name, NHWC. */
async function tfjs(backend) {
  const tf = await import('@tensorflow/tfjs-core');
  const wasm = await import(backend === 'wasm' ? '@tensorflow/tfjs-backend-wasm' : '@tensorflow/tfjs-backend-cpu');
  if (backend === 'wasm') {
    const { createRequire } = await import('node:module');
    const { dirname } = await import('node:path');
    const file = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
    wasm.setWasmPaths(`${dirname(file)}/`);
  }
  await tf.setBackend(backend);
  await tf.ready();
  const shape = [batch, size, size, channels];
  const x = tf.tensor(image, shape),
    dy = tf.tensor(image, shape),
    w = tf.tensor(filter, [3, 3, channels, channels]);
  const common = { strides: [1, 1], pad: 'same', dataFormat: 'NHWC', dimRoundingMode: undefined };
  const [kernel, inputs, attributes] = {
    forward: ['Conv2D', { x, filter: w }, { dilations: [1, 1] }],
    input: ['Conv2DBackpropInput', { dy, filter: w }, { inputShape: shape }],
    weight: ['Conv2DBackpropFilter', { x, dy }, { filterShape: w.shape }],
  }[part];
  return {
    description: `TensorFlow.js ${tf.version_core}, ${backend}`,
    versions: { tfjs: tf.version_core },
    async run() {
      const y = tf.engine().runKernel(kernel, inputs, { ...common, ...attributes });
      const first = (await y.data())[0];
      y.dispose();
      return first;
    },
  };
}

/**
 * jax-js: gradients by its own differentiation, compiled, so that what is not needed is left out.
 * NCHW.
 */
async function jax() {
  const { readFileSync } = await import('node:fs');
  const { init, defaultDevice, grad, jit, lax, numpy } = await import('@jax-js/jax');
  await init('wasm');
  defaultDevice('wasm');
  const shape = [batch, channels, size, size];
  const x = numpy.array(image).reshape(shape),
    dy = numpy.array(image).reshape(shape),
    w = numpy.array(filter).reshape([channels, channels, 3, 3]);
  const convolve = (x, w) => lax.conv(x, w, [1, 1], 'SAME');
  const scalar = (x, w, dy) => numpy.sum(convolve(x, w).mul(dy));
  const compiled = jit(
    {
      forward: (x, w) => convolve(x, w),
      input: (x, w, dy) => grad((x) => scalar(x, w, dy))(x),
      weight: (x, w, dy) => grad((w) => scalar(x, w, dy))(w),
    }[part],
  );
  const version = JSON.parse(
    readFileSync(new URL('node_modules/@jax-js/jax/package.json', import.meta.url), 'utf8'),
  ).version;
  return {
    description: `jax-js ${version}, wasm`,
    versions: { 'jax-js': version },
    run: async () => (await (part === 'forward' ? compiled(x.ref, w.ref) : compiled(x.ref, w.ref, dy.ref)).data())[0],
  };
}

try {
  const { run, ...hello } = await (job.library === 'jax-js' ? jax() : tfjs(job.library.split(' ')[1]));
  await answer(hello, run);
  process.exit();
} catch (error) {
  say({
    error:
      error.code === 'ERR_MODULE_NOT_FOUND'
        ? 'not installed: npm install in bench/peers/javascript'
        : error.message.split('\n')[0],
  });
  process.exit(1);
}
