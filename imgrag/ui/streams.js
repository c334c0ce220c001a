// A browser has six connections to a host, for all its tabs. Gradio's page holds one of them for as long as it is open,
// and one more while anything of it runs. This stands before Gradio's scripts, which take `fetch` as they find it.
(() => {
  const STREAMS = 4;  // at once, of all tabs; the other connections are for everything else
  const SILENCE = 60_000;  // ms; on a stream the server says something every 15 s

  const asked = window.fetch.bind(window);

  // Its one use is that it breaks when the page is closed, and that can be said without it.
  const heartbeat = (address) => {
    addEventListener("pagehide", () => navigator.sendBeacon(address));
    return new Response(new ReadableStream());
  };

  // `work` begins once one of the places is free, and holds it. Without locks (no TLS, no localhost): at once.
  const inTurn = (work) => {
    if (!navigator.locks) return void work();
    const others = new AbortController();
    let begun = false;
    const begin = () => {
      if (begun) return undefined;
      begun = true;
      others.abort();
      delete document.documentElement.dataset.elsewhere;
      return work();
    };
    for (let place = 0; place < STREAMS; place += 1)
      navigator.locks.request(`imgrag-stream-${place}`, { signal: others.signal }, begin).catch(() => {});
    setTimeout(() => { if (!begun) document.documentElement.dataset.elsewhere = ""; }, 1000);
  };

  const spoken = (reader) => new Promise((resolve, reject) => {
    const silence = setTimeout(() => reject(new Error("The stream fell silent.")), SILENCE);
    reader.read().then(resolve, reject).finally(() => clearTimeout(silence));
  });

  // What happens to a page's events, until Gradio's server says that this was all. Anything else is a cut.
  const pour = async (request, into) => {
    const answer = await asked(request);
    if (!answer.ok) throw new Error(`The stream was refused (${answer.status}).`);
    const reader = answer.body.getReader(), decoder = new TextDecoder();
    let end = "";
    try {
      for (let part = await spoken(reader); !part.done; part = await spoken(reader)) {
        end = (end + decoder.decode(part.value, { stream: true })).slice(-200);
        into.enqueue(part.value);
      }
    } finally {
      reader.cancel().catch(() => {});
    }
    if (!end.includes("close_stream")) throw new Error("The stream was cut off.");
    into.close();
  };

  const stream = (request) => new Response(new ReadableStream({
    start: (into) => { inTurn(() => pour(request, into).catch((error) => into.error(error))); },
  }));

  window.fetch = (input, settings) => {
    const address = new URL(input?.url ?? input, location.href);
    if (address.pathname.includes("/gradio_api/heartbeat/")) return Promise.resolve(heartbeat(address));
    if (address.pathname.endsWith("/gradio_api/queue/data")) return Promise.resolve(stream(new Request(input, settings)));
    return asked(input, settings);
  };

  // A page that comes back from the browser's memory has said that it is closed.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
})();
