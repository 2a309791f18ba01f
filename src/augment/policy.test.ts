import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Random } from '../random.js';
import { noise } from '../testing/image-files.js';
import { buildPipeline, runPipeline } from './pipeline.js';
import { parseAugment, type AugmentPolicy } from './policy.js';
import { readAugment } from './policy-file.js';
import { trainPipeline } from './presets.js';

/** Texts that are read, with the canonical name of what they mean. */
const texts: readonly [text: string, name: string, steps?: AugmentPolicy['steps']][] = [
  ['none', 'none', []],
  ['light', 'light', []],
  ['Basic', 'basic', []],
  ['weak', 'weak'],
  ['strong', 'strong'],
  ['randaugment', 'randaugment:n=2,m=9', [{ name: 'randAugment', n: 2, m: 9 }]],
  ['rand-augment', 'randaugment:n=2,m=9'],
  ['RandAugment:m=14', 'randaugment:n=2,m=14'],
  ['randaugment:m=3,n=1', 'randaugment:n=1,m=3'],
  ['randaugment:n=2,m=9,scale=torchvision', 'randaugment:n=2,m=9'],
  [
    'randaugment:m=27,scale=paper,fill=9/99/199,sampling=bilinear',
    'randaugment:n=2,m=27,scale=paper,sampling=bilinear,fill=9/99/199',
  ],
  ['randaugment:ops=rotate+Shear-X+colour,fill=128', 'randaugment:n=2,m=9,ops=rotate+shear-x+color,fill=128'],
  ['trivial', 'trivial', [{ name: 'trivialAugment' }]],
  ['TrivialAugment', 'trivial'],
  ['trivial-augment-wide', 'trivial'],
  ['auto', 'auto:imagenet'],
  ['auto:cifar10', 'auto:cifar10', [{ name: 'autoAugment', policy: 'cifar10' }]],
  ['autoaugment:imagenet', 'auto:imagenet'],
  ['auto:svhn,sampling=bilinear', 'auto:svhn,sampling=bilinear'],
  ['augmix', 'augmix:severity=3,width=3'],
  ['augmix:severity=5,depth=2,alpha=0.5,all-ops=false', 'augmix:severity=5,width=3,depth=2,alpha=0.5,all-ops=false'],
  [
    'timm:rand-m9-n2-mstd0.5-inc1',
    'timm:rand-m9-n2-mstd0.5-inc1',
    [{ name: 'timmAugment', config: 'rand-m9-n2-mstd0.5-inc1' }],
  ],
  ['timm:augmix-m3-w3-d-1', 'timm:augmix-m3-w3-d-1'],
  ['timm:original', 'timm:original'],
  ['timm:3a,fill=0', 'timm:3a,fill=0'],
  [
    'ops:rotate=9,color=12',
    'ops:rotate=9,color=12',
    [
      {
        name: 'randomChoice',
        policies: [
          [
            { op: 'rotate', magnitude: 9 },
            { op: 'color', magnitude: 12 },
          ],
        ],
      },
    ],
  ],
  ['ops:ShearX=9@0.5, equalize/auto-contrast', 'ops:shear-x=9@0.5,equalize/auto-contrast'],
  ['ops:rotate=10,fill=1/2/3,color=5,scale=timm', 'ops:rotate=10,color=5,scale=timm,fill=1/2/3'],
  ['ops:equalize=4', 'ops:equalize'],
];

test('texts have a canonical name that gives the same policy again, as plain JSON', () => {
  for (const [text, name, steps] of texts) {
    const policy = parseAugment(text);
    assert.equal(policy.name, name, text);
    if (steps !== undefined) assert.deepEqual(policy.steps, steps, text);
    assert.deepEqual(parseAugment(policy.name), policy, text);
    assert.deepEqual(JSON.parse(JSON.stringify(policy)), policy, text);
    const pipeline = buildPipeline(
      trainPipeline(policy, { size: [32, 40], resizeShort: 40, interpolation: 'bilinear' }),
    );
    const { width, height } = runPipeline(pipeline, noise(1, 50, 45), new Random(0, text));
    assert.deepEqual([width, height], [40, 32], text);
  }
  assert.deepEqual(
    ['none', 'light', 'basic', 'randaugment', 'ops:rotate=1'].map((text) => parseAugment(text).base),
    ['none', 'light', 'basic', 'basic', 'basic'],
  );
});

const isLine =
  (message: RegExp) =>
  (error: Error): boolean => {
    assert.equal(error.name, 'PupilError', error.stack);
    assert.match(error.message, message);
    assert.ok(!error.message.includes('\n'));
    return true;
  };

test('mistakes in texts are one line', () => {
  const rows: readonly [string, RegExp][] = [
    ['randaugmnt', /^augment randaugmnt: no policy "randaugmnt": did you mean "randaugment"\?$/],
    ['', /no policy "": known: none/],
    ['basic:1', /basic takes no options/],
    ['randaugment:m=31', /^augment randaugment:m=31: m is 31: give a number from 0 to 30$/],
    ['randaugment:m=nine', /m is "nine": give a number/],
    ['randaugment:m=', /m is "": give a number/],
    ['randaugment:m', /m needs a value/],
    ['randaugment:m=1,m=2', /m is there twice/],
    ['randaugment:x=1', /no option "x": did you mean/],
    ['randaugment:scale=tim', /scale is "tim": give one of torchvision, paper, timm, timm-increasing$/],
    ['randaugment:fill=300', /fill\[0\] is 300/],
    ['randaugment:ops=rotat', /ops\[0\] is "rotat": give the name of an op \(did you mean "rotate"\?\)/],
    ['auto:cifar11', /policy is "cifar11"/],
    ['augmix:all-ops=maybe', /allOps is "maybe": give true or false/],
    ['timm', /incomplete; write for example timm:rand-m9-n2-mstd0\.5-inc1/],
    ['timm:rand-q9', /no section "q9"/],
    ['rand-m9-n2', /^augment rand-m9-n2: write timm:rand-m9-n2$/],
    ['augmix-m3', /write timm:augmix-m3/],
    ['v0', /write timm:v0/],
    ['ops:', /give ops with their magnitudes/],
    ['ops:rotate', /magnitude is missing/],
    ['ops:rotate=40', /magnitude is 40/],
    ['ops:rotat=4', /op is "rotat": .*did you mean "rotate"/],
    ['ops:rotate=4,,color=3', /an op is missing/],
    ['ops:rotate=4@2', /probability is 2/],
    ['policy.json', /a policy file cannot be given here/],
  ];
  for (const [text, message] of rows) assert.throws(() => parseAugment(text), isLine(message), text);
});

test('policy files', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pupil-policy-'));
  const path = join(folder, 'policy.json');
  const given = async (content: unknown): Promise<AugmentPolicy> => {
    await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
    return readAugment(path);
  };
  try {
    assert.deepEqual(await readAugment('randaugment'), parseAugment('randaugment'));
    const steps = {
      base: 'light',
      steps: [
        { name: 'Rotate', range: [-5, 5] },
        { name: 'rand-augment', n: 1 },
      ],
    };
    assert.deepEqual(await given(steps), {
      name: path,
      base: 'light',
      steps: [
        { name: 'rotate', range: [-5, 5] },
        { name: 'randAugment', n: 1 },
      ],
    });
    assert.equal((await given({ steps: [] })).base, 'basic');
    const policies = [
      [
        { op: 'Shear-X', magnitude: 3 },
        { op: 'equalize', probability: 0.5 },
      ],
      [{ op: 'color', magnitude: 9 }],
    ];
    const policy = await given({ policies, scale: 'timm' });
    assert.equal(policy.name, 'ops:shear-x=3,equalize@0.5/color=9,scale=timm');
    assert.deepEqual(parseAugment(policy.name), policy);
    const still = await given({ base: 'none', policies });
    assert.deepEqual([still.name, still.base, still.steps[0]!.name], [path, 'none', 'randomChoice']);
    const rows: readonly [unknown, RegExp][] = [
      ['{"steps": [}', /policy\.json: not JSON: /],
      ['', /not JSON/],
      [[], /give an object with steps/],
      [null, /give an object with steps/],
      [{}, /give an object with steps/],
      [{ policies, steps: [] }, /no option "steps"/],
      [{ steps: {} }, /steps is \{\}: give a list of steps$/],
      [{ steps: [], stepz: 1 }, /no option "stepz"/],
      [{ base: 'strong', steps: [] }, /base is "strong": give one of none, light, basic$/],
      [{ steps: [{ name: 'rotaet' }] }, /policy\.json: step 1: no transform named "rotaet": did you mean "rotate"\?$/],
      [
        { steps: [{ name: 'rotate' }, { name: 'rotate', range: [-5, 500] }] },
        /policy\.json: step 2 \(rotate\): range\[1\] is 500: give degrees from -180 to 180$/,
      ],
      [
        { policies: [[{ op: 'rotate', magnitude: '9' }]] },
        /policy\.json: policies\[0\]\[0\]\.magnitude is "9": give a number from 0 to 30$/,
      ],
      [
        { policies: [[{ op: 'rotaet', magnitude: 9 }]] },
        /policies\[0\]\[0\]\.op is "rotaet": give the name of an op \(did you mean "rotate"\?\)$/,
      ],
      [{ policies: [[{ op: 'rotate', magnitud: 9 }]] }, /no option "policies\[0\]\[0\]\.magnitud"/],
      [{ policies: [[]] }, /policies\[0\] is \[\]: give one op or more$/],
      [{ base: 3, policies }, /base is 3/],
    ];
    for (const [content, message] of rows)
      await assert.rejects(given(content), isLine(message), JSON.stringify(content));
    await assert.rejects(readAugment(join(folder, 'absent.json')), isLine(/there is no such policy file/));
  } finally {
    await rm(folder, { recursive: true });
  }
});
