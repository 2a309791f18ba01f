// The networks of the GPU measurement: Pupil's built-in ones, the same as torch modules (networks.py), and of
// each a narrow one for trying things out on a software GPU.
import { buildModel, parametersOf } from '../../dist/models/families/index.js';
import { mobilenetV2 } from '../../dist/models/families/mobilenet.js';
import { basic, bottleneck, resnet } from '../../dist/models/families/resnet.js';
import { lookUp } from '../../dist/models/families/table.js';
import { vit } from '../../dist/models/families/vit.js';
import { Random } from '../../dist/random.js';

/**
 * `form`: what networks.py builds it from, the numbers of the built-in network. `tiny`: the form of the narrow
 * one.
 */
export const networks = [
  {
    name: 'resnet18',
    title: 'ResNet-18',
    builtIn: 'resnet18',
    form: { family: 'resnet', block: 'basic', depths: [2, 2, 2, 2], width: 64 },
    tiny: { family: 'resnet', block: 'basic', depths: [1, 1], width: 8 },
  },
  {
    name: 'resnet50',
    title: 'ResNet-50',
    builtIn: 'resnet50',
    form: { family: 'resnet', block: 'bottleneck', depths: [3, 4, 6, 3], width: 64 },
    tiny: { family: 'resnet', block: 'bottleneck', depths: [1, 1], width: 8 },
  },
  {
    name: 'mobilenetv2',
    title: 'MobileNetV2',
    builtIn: 'mobilenetv2_100',
    form: { family: 'mobilenetv2', width: 1 },
    tiny: { family: 'mobilenetv2', width: 0.1 },
  },
  {
    name: 'vit-tiny',
    title: 'ViT-tiny/16',
    builtIn: 'vit_tiny_patch16_224',
    form: { family: 'vit', patch: 16, width: 192, depth: 12, heads: 3 },
    tiny: { family: 'vit', patch: 16, width: 48, depth: 2, heads: 3 },
  },
];

const blocks = { basic, bottleneck };
const layersOf = {
  resnet: ({ block, depths, width }) => resnet(blocks[block], depths, 'large', width),
  mobilenetv2: ({ width }) => mobilenetV2(width),
  vit: ({ patch, width, depth, heads }) => vit({ patch, width, depth, heads }),
};

/** An architecture of the built-in one's family with the numbers of a form. */
const like = ({ builtIn, name }, form) => ({
  ...lookUp(builtIn),
  name,
  network: layersOf[form.family](form),
});

/**
 * The network as a model, with weights of seed 1. Vectors get values of their own: a ResNet's last
 * normalisations begin at zero, which would hide a wrong branch.
 */
export function modelOf(network, { tiny, size, classes }) {
  const architecture = tiny ? like(network, network.tiny) : network.builtIn;
  const model = buildModel(architecture, { classes, seed: 1, inputSize: size });
  const random = new Random(1, 'vectors');
  const parameters = new Map(
    [...model.parameters].map(([name, tensor]) => [
      name,
      tensor.dims.length === 1 ? { ...tensor, data: tensor.data.map((x) => x + 0.2 * random.uniform()) } : tensor,
    ]),
  );
  return { ...model, parameters };
}

/** Trainable numbers of a form of a network; those of a transformer depend on the size of images. */
export const countOf = (network, form, { size, classes }) => parametersOf({ ...like(network, form), size }, classes);
