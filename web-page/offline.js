/** Keeps the page's files, so that it works without a network once it was loaded; asks for newer ones meanwhile. */
const files = ['./', 'page.js', 'pupil.js', 'style.css', 'code.txt', 'about.json', 'model.onnx'];
const runtime = ['ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'];
const name = 'page';

addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(name)
      .then((cache) => cache.addAll([...files, ...runtime]))
      .then(() => skipWaiting()),
  );
});
addEventListener('activate', (event) => event.waitUntil(clients.claim()));
addEventListener('fetch', (event) => {
  if (event.request.method !== 'GET' || new URL(event.request.url).origin !== location.origin) return;
  event.respondWith(
    caches.open(name).then(async (cache) => {
      const kept = await cache.match(event.request);
      const newer = fetch(event.request).then((response) => {
        if (response.ok) void cache.put(event.request, response.clone());
        return response;
      });
      if (kept === undefined) return newer;
      newer.catch(() => undefined);
      return kept;
    }),
  );
});
