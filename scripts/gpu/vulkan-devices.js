// Asks the loader of Vulkan for its devices and prints them as JSON: {loader, devices}, or {error}. A process of its
// own, since a loader reads its environment once.
import { readFileSync } from 'node:fs';
import koffi from 'koffi';

const types = ['other', 'integrated GPU', 'discrete GPU', 'virtual GPU', 'CPU'];
const nvidia = 0x10de;

/** Vulkan's own packing of versions: 10 bits, 10 bits, 12 bits; NVIDIA's has 10, 8, 8 and 6. */
const version = (value) => [value >>> 22, (value >>> 12) & 0x3ff, value & 0xfff].join('.');
const driverVersion = (vendor, value) =>
  vendor === nvidia ? [value >>> 22, (value >>> 14) & 0xff, (value >>> 6) & 0xff].join('.') : version(value);

/** Throws what a function of Vulkan answers if it is no success. */
function check(name, result) {
  if (result < 0) throw new Error(`${name} answers ${result}${result === -9 ? ' (no driver of Vulkan)' : ''}`);
}

/** Devices by the layout of VkPhysicalDeviceProperties: five numbers, 256 characters of a name, a UUID, limits. */
function devicesOf(library) {
  const create = library.func('vkCreateInstance', 'int', ['void *', 'void *', 'void *']),
    enumerate = library.func('vkEnumeratePhysicalDevices', 'int', ['uint64_t', 'void *', 'void *']),
    properties = library.func('vkGetPhysicalDeviceProperties', 'void', ['uint64_t', 'void *']);
  const info = Buffer.alloc(64); // VkInstanceCreateInfo without layers, extensions or an application
  info.writeUInt32LE(1, 0);
  const instance = Buffer.alloc(8);
  check('vkCreateInstance', create(info, null, instance));
  const count = Buffer.alloc(4);
  check('vkEnumeratePhysicalDevices', enumerate(instance.readBigUInt64LE(0), count, null));
  const handles = Buffer.alloc(8 * count.readUInt32LE(0));
  check('vkEnumeratePhysicalDevices', enumerate(instance.readBigUInt64LE(0), count, handles));
  return Array.from({ length: count.readUInt32LE(0) }, (_, i) => {
    const about = Buffer.alloc(1024);
    properties(handles.readBigUInt64LE(8 * i), about);
    const [api, driver, vendor, device, type] = [0, 4, 8, 12, 16].map((offset) => about.readUInt32LE(offset));
    return {
      name: about.toString('utf8', 20, about.indexOf(0, 20)),
      type: types[type] ?? 'other',
      vendor: `0x${vendor.toString(16)}`,
      device: `0x${device.toString(16)}`,
      vulkan: version(api),
      driver: driverVersion(vendor, driver),
      largestBuffer: about.readUInt32LE(324),
    };
  });
}

let answer;
try {
  const library = koffi.load('libvulkan.so.1');
  const loader = /\S*libvulkan\S*/.exec(readFileSync('/proc/self/maps', 'utf8'))?.[0];
  try {
    answer = { loader, devices: devicesOf(library) };
  } catch (error) {
    answer = { loader, error: error.message };
  }
} catch (error) {
  answer = { error: `no loader of Vulkan: ${error.message}` };
}
process.stdout.write(`${JSON.stringify(answer)}\n`);
