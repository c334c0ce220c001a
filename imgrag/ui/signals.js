// How far a run is, where the page is not looked at: in the tab's title, and on wish by a sound and a notification.
// And the place in the line in words, which Gradio gives in shorthand.
(() => {
  const NAME = "ImageRAG";
  const word = (name) => document.querySelector(`#ir-words [data-word="${name}"]`)?.textContent ?? "";
  const strip = () => document.querySelector("#ir-strip .ir-strip");
  const wanted = (signal) => { try { return localStorage.getItem(`imgrag-${signal}`) === "on"; } catch { return false; } };
  const want = (signal, on) => { try { localStorage.setItem(`imgrag-${signal}`, on ? "on" : "off"); } catch { /* for this page only */ } };
  const entitle = (title) => { if (document.title !== title) document.title = title; };  // the observer below sees it
  let phase = "";

  const sound = () => {
    const audio = new AudioContext(), tone = audio.createOscillator(), volume = audio.createGain();
    tone.frequency.setValueAtTime(660, audio.currentTime);
    tone.frequency.setValueAtTime(880, audio.currentTime + 0.14);
    volume.gain.setValueAtTime(0.12, audio.currentTime);
    volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.5);
    tone.connect(volume).connect(audio.destination);
    tone.start();
    tone.stop(audio.currentTime + 0.5);
  };

  const ended = (now) => {
    const said = strip().querySelector(".ir-strip-words span").firstChild?.textContent ?? "";
    if (wanted("sound")) sound();
    if (wanted("notification") && document.hidden && Notification.permission === "granted")
      new Notification(NAME, { body: `${said} ${strip().dataset.prompt ?? ""}`, tag: "imgrag" });
    entitle(now === "finished" ? `✓ ${NAME}` : NAME);
  };

  const follow = () => {
    const now = strip()?.dataset.phase;
    if (now === "running") entitle(`${strip().querySelector("[role=progressbar]").ariaValueNow}% · ${NAME}`);
    if (now && now !== phase && ["running", "stopping"].includes(phase)) ended(now);
    phase = now ?? phase;
  };

  // "queue: 2/3 | 1.5/10.2s" -> "Waiting: place 2 of 3 · about 9 s left"
  const line = () => {
    const text = document.querySelector("#ir-strip .progress-text")?.textContent ?? "", block = document.querySelector("#ir-strip");
    if (!block) return;
    const place = text.match(/(\d+)\s*\/\s*(\d+)\s*\|/), time = text.match(/([\d.]+)\s*\/\s*([\d.]+)\s*s/);
    const left = time ? Math.max(1, Math.round(time[2] - time[1])) : 0;
    const words = place ? word("place").replace("[place]", place[1]).replace("[all]", place[2]) : word("waiting");
    const whole = text ? `${words}${left ? ` · ${word("left").replace("[left]", left)}` : ""}` : "";
    if ((block.dataset.line ?? "") !== whole) block.dataset.line = whole;
  };

  document.addEventListener("change", async (event) => {
    const signal = event.target.dataset?.signal;
    if (!signal) return;
    if (signal === "notification" && event.target.checked && await Notification.requestPermission() !== "granted")
      event.target.checked = false;
    want(signal, event.target.checked);
    if (signal === "sound" && event.target.checked) sound();
  });
  document.addEventListener("imgrag:help", () => document.querySelectorAll("[data-signal]").forEach((box) => { box.checked = wanted(box.dataset.signal); }));
  document.addEventListener("visibilitychange", () => { if (!document.hidden && phase !== "running") entitle(NAME); });
  addEventListener("DOMContentLoaded", follow);
  new MutationObserver(follow).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-phase", "aria-valuenow"] });
  setInterval(line, 500);
})();
