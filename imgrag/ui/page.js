// What Gradio leaves undone: a name for every image, spoken progress, a clock that counts down, a choice of language.
// What was typed and chosen before a reload, before anything of this page is kept in its place.
try { window.imgragDraft = JSON.parse(sessionStorage.getItem("imgrag-draft") ?? "null"); } catch { window.imgragDraft = null; }

(() => {
  const container = () => document.querySelector(".gradio-container");

  // Gradio hard-codes an empty alt in icons of buttons.
  const nameImages = () => {
    container()?.querySelectorAll("img:not([alt]), img[alt='']").forEach((image) => {
      const title = image.closest(".ir-panel")?.querySelector("h2")?.textContent;
      image.alt = title || image.closest("button")?.textContent.trim() || "Image";
    });
  };

  // A live region must stay in the page while its text changes, so the wrapper gets the role.
  const announce = () => {
    const strip = document.querySelector("#ir-strip");
    if (strip && !strip.hasAttribute("aria-live")) strip.setAttribute("aria-live", "polite");
  };

  // The server knows no time zones.
  const tellTimes = () => document.querySelectorAll("time[datetime]").forEach((time) => {
    const then = new Date(time.dateTime);
    const year = then.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
    const words = then.toLocaleString(document.documentElement.lang || undefined, {
      month: "short", day: "numeric", hour: "numeric", minute: "2-digit", ...year,
    });
    if (time.textContent !== words) time.textContent = words;
  });

  // A run fills the folds when it ends, so nothing is typed there meanwhile: it would be lost.
  const lock = () => {
    const running = document.querySelector("#ir-strip [data-phase='running']") !== null;
    document.querySelectorAll(".ir-correct > :not(button)").forEach((fold) => {
      if (fold.inert !== running) fold.inert = running;
    });
  };

  // What is at work stays in the tab's memory, for the page that comes after a reload or a cut, and so
  // does what was shown at last: `Past.arrive` asks.
  let seen = "";
  const keep = (left) => sessionStorage.setItem("imgrag-left", JSON.stringify(left));
  const strip = () => document.querySelector("#ir-strip [data-run]")?.dataset;
  const isAtWork = (phase) => phase === "running" || phase === "stopping";

  const remember = () => {
    const now = strip();
    if (!now || seen === `${now.phase} ${now.run} ${now.stage}`) return;
    seen = `${now.phase} ${now.run} ${now.stage}`;
    if (isAtWork(now.phase)) keep({ run: now.run, prompt: now.prompt, stage: now.stage });
    else {
      sessionStorage.removeItem("imgrag-left");
      if (now.run) sessionStorage.setItem("imgrag-shown", now.run);
    }
  };

  // Nothing comes from the server before it is the run's turn.
  const rememberPressed = () => {
    const prompt = document.querySelector("#ir-prompt textarea")?.value;
    if (prompt?.trim() && !isAtWork(strip()?.phase)) keep({ run: "", prompt, stage: "" });
  };

  // The language is chosen at the top, and kept. Gradio has it in a store of one of its modules, the only one there
  // with a text in it that can be set; who finds none leaves the page in the browser's language.
  const LANGUAGE = "imgrag-language";
  const chosen = () => { try { return localStorage.getItem(LANGUAGE); } catch { return null; } };
  const textIn = (store) => {
    let value = null;
    if (typeof store?.set === "function" && typeof store.subscribe === "function") store.subscribe((now) => { value = now; })();
    return typeof value === "string";
  };
  const speakIn = async (language) => {
    const urls = performance.getEntriesByType("resource").map((entry) => entry.name).filter((url) => /\/assets\/runtime-[^/]+\.js$/.test(url));
    for (const url of new Set(urls)) {
      const store = Object.values(await import(url).catch(() => ({}))).find(textIn);
      if (store) return void store.set(language);
    }
  };
  // What the server has said of a run stands in the language in which it was asked, so a run that is over comes anew.
  const choose = (language) => {
    try { localStorage.setItem(LANGUAGE, language); } catch { /* it holds until the page is left */ }
    const run = document.querySelector(".ir-link a")?.href;
    if (!run || !chosen() || isAtWork(strip()?.phase)) return void speakIn(language);
    if (run === location.href) location.reload();
    else location.assign(run);
  };

  // Which one it is, and the names of the tabs in it: Gradio leaves those as they were first drawn.
  const showLanguage = () => {
    const spoken = document.documentElement.lang.startsWith("zh") ? "zh" : "en";
    document.querySelectorAll("[data-language]").forEach((button) => {
      const pressed = String(spoken === button.lang);
      if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
    });
    const names = JSON.parse(document.querySelector("#ir-languages nav")?.dataset.tabs ?? "[]");
    document.querySelectorAll("#ir-tabs [role=tab]").forEach((tab) => {
      const text = [...tab.childNodes].find((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
      const name = names.find((pair) => pair.includes(text?.data.trim()))?.[spoken === "zh" ? 1 : 0];
      if (name && text.data.trim() !== name) text.data = name;
    });
  };

  // What is wrong with the prompt is said at its field, and everything else stays as it is. What the page can tell by
  // itself is not sent: its turn in the queue may be long in coming.
  let unfit = "";
  const word = (name) => document.querySelector(`#ir-words [data-word="${name}"]`)?.textContent ?? "";
  const misfit = () => {
    const typed = document.querySelector("#ir-prompt textarea")?.value ?? "", count = [...typed].length;
    if (!typed.trim()) return word("empty");
    return count > Number(word("most")) ? word("long").replace("[count]", count) : "";
  };

  const remark = () => {
    const field = document.querySelector("#ir-prompt textarea");
    const said = unfit || document.querySelector("#ir-banner [data-field='prompt'] p")?.textContent || "";
    let line = document.querySelector("#ir-remark");
    if (!field || (line?.textContent ?? "") === said) return;
    if (!said) {
      field.removeAttribute("aria-invalid");
      return void line.remove();
    }
    line ??= Object.assign(document.createElement("p"), { id: "ir-remark", role: "alert" });
    line.textContent = said;
    field.closest("#ir-prompt").append(line);
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", "ir-remark");
    field.focus();
  };

  const hinder = (event) => {
    const entered = event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target.closest("#ir-prompt");
    if (!entered && !(event.type === "click" && event.target.closest("#ir-run"))) return;
    unfit = misfit();
    if (unfit) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
    remark();
  };
  const refit = () => { unfit &&= misfit(); remark(); };

  // Folds and details of all panels bear the same words; for who hears them they say of which step they are.
  const nameFolds = () => document.querySelectorAll(".ir-board > .ir-panel").forEach((panel) => {
    const title = panel.querySelector("h2")?.textContent ?? "";
    panel.querySelectorAll(".ir-correct > button, .ir-correct .ir-buttons button, summary").forEach((button) => {
      const name = `${button.textContent.replace("◀", "").replace("▼", "").trim()} · ${title}`;
      if (button.getAttribute("aria-label") !== name) button.setAttribute("aria-label", name);
    });
  });

  // Stop can be reached while nothing runs, but says that there is nothing to stop.
  const idle = () => {
    const stop = document.querySelector("#ir-stop"), waits = document.querySelector("#ir-strip [data-testid=status-tracker]:not(.hide)");
    const off = String(!waits && !isAtWork(strip()?.phase));
    if (stop && stop.getAttribute("aria-disabled") !== off) stop.setAttribute("aria-disabled", off);
  };

  const tidy = () => { nameFolds(); idle(); remark(); showLanguage(); nameImages(); announce(); tellTimes(); lock(); remember(); };

  // The server says its texts in the language that Gradio shows its own in.
  const speak = () => {
    const site = location.protocol === "https:" ? "None; Secure; Partitioned" : "Lax";
    showLanguage();
    document.cookie = `imgrag-language=${chosen() ?? document.documentElement.lang}; path=/; SameSite=${site}`;
  };

  const start = () => {
    speak();
    if (chosen()) speakIn(chosen());
    new MutationObserver(speak).observe(document.documentElement, { attributes: true, attributeFilter: ["lang"] });
    new MutationObserver(tidy).observe(document.body, {
      childList: true, subtree: true, attributes: true, attributeFilter: ["src", "alt", "data-phase", "data-run", "data-stage"],
    });
    tidy();
    ["click", "keydown"].forEach((name) => document.addEventListener(name, hinder, true));
    ["input", "imgrag:prompt"].forEach((name) => document.addEventListener(name, refit));
    document.addEventListener("click", (event) => { if (event.target.closest("#ir-run")) rememberPressed(); }, true);
    document.addEventListener("click", (event) => {
      const button = event.target.closest("[data-language]");
      if (button) choose(button.dataset.language);
    });
    document.addEventListener("click", (event) => {
      if (event.target.closest(".ir-again")) document.querySelector("#ir-run").click();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target.closest("#ir-prompt")) rememberPressed();
    }, true);
    setInterval(() => document.querySelectorAll("[data-left]").forEach((clock) => {
      const left = Math.max(1, Number(clock.dataset.left) - 1);
      clock.dataset.left = left;
      if (left < 90) clock.textContent = clock.dataset.words.replace("{left}", left);
    }), 1000);
  };

  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();
