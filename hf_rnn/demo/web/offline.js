// Keep the page for when there is no network: answer from the cache, and renew it when there is one.

const CACHE = "hf_rnn";

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  event.respondWith(
    caches.open(CACHE).then(async (cache) => {
      try {
        const response = await fetch(event.request);
        if (response.ok) await cache.put(event.request, response.clone());
        return response;
      } catch (error) {
        const kept = await cache.match(event.request);
        if (kept) return kept;
        throw error;
      }
    }),
  );
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
