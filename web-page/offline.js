/**
 * Keeps the page's files, so that it works without a network once it was loaded; asks for newer ones meanwhile.
 * `files` stands in front of this: the build knows them.
 */
const kept = new Set(globalThis.files.map((file) => new URL(file, location.href).href));
const cacheName = 'page';

addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(cacheName)
      .then((cache) => cache.addAll([...kept]))
      .then(() => skipWaiting()),
  );
});
addEventListener('activate', (event) => event.waitUntil(clients.claim()));
addEventListener('fetch', (event) => {
  if (event.request.method !== 'GET' || !kept.has(event.request.url.replace(/[?#].*$/, ''))) return;
  event.respondWith(
    caches.open(cacheName).then(async (cache) => {
      const old = await cache.match(event.request, { ignoreSearch: true });
      const newer = fetch(event.request).then((response) => {
        if (response.ok) void cache.put(event.request, response.clone());
        return response;
      });
      if (old === undefined) return newer;
      newer.catch(() => undefined);
      return old;
    }),
  );
});
