// A picture or a file that is dropped, wherever on the page: what was saved here comes back as its run, of anything else
// the page asks what is to be done with it. Fields that take files take what is dropped on them.
(() => {
  const PICTURE = /\.(png|jpe?g|webp|gif|bmp|tiff?|avif)$/i;
  const ZIP = /\.zip$/i;
  const MOST = 20_000_000;  // bytes of a file that are looked at
  const TAIL = 70_000;  // bytes at the end of a zip that hold the names of its last files
  const carries = (event) => [...(event.dataTransfer?.items ?? [])].some((item) => item.kind === "file");
  const ofField = (target) => {
    const block = target.closest?.(".block");
    return [...(block?.querySelectorAll("input[type=file]") ?? [])].some((field) => field.closest(".block") === block);
  };

  // Once a tab or a fold is there, which are built when they are first opened.
  const until = (found, then, tries = 100) => {
    const what = found();
    if (what) then(what);
    else if (tries) setTimeout(until, 100, found, then, tries - 1);
  };

  // What a field holds already is taken out of it first: not every one has a place for more.
  const EMPTY = ["Remove Image", "Clear", "清除", "清空"].map((name) => `button[aria-label="${name}"]`).join(", ");
  const put = (where, files, then, tries) => {
    const empty = () => document.querySelector(where)?.querySelector(EMPTY);
    empty()?.click();
    until(() => !empty() && document.querySelector(`${where} input[type=file]`), (input) => {
      const given = new DataTransfer();
      files.forEach((file) => given.items.add(file));
      input.files = given.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
      then?.();
    }, tries);
  };

  const press = (where, when) => until(() => document.querySelector(when) && document.querySelector(where), (button) => button.click());
  const unfold = (fold) => until(() => document.querySelector(`${fold} > button`), (head) => {
    if (!head.classList.contains("open")) head.click();
    head.scrollIntoView({ block: "center" });
  });
  const open = (tab) => document.querySelector(`#ir-${tab}-button`)?.click();
  const create = () => document.querySelector("#ir-tabs [role=tab]")?.click();

  const WAYS = {
    run: (files) => { open("past"); put("#ir-past-file", files); },
    initial: (files) => { create(); unfold("#ir-correct-initial"); put("#ir-own-image", files); },
    reference: (files) => { create(); unfold("#ir-correct-references"); put("#ir-own-picture", files); },
    // A library that comes with the app takes nothing; the picture waits for another one to be chosen, or copied.
    library: (files) => { open("library"); unfold("#ir-lib-add"); put("#ir-lib-files", files, null, 600); },
    caption: (files) => { open("caption"); put("#ir-cap-picture", files, () => press("#ir-cap-run", "#ir-cap-picture img")); },
    search: (files) => { open("library"); put("#ir-lib-picture", files, () => press("#ir-lib-search", "#ir-lib-picture img")); },
  };

  // A PNG that was saved here says so in a text before its pixels, a zip in the list at its end.
  const isSaved = async (file) => {
    if (ZIP.test(file.name)) return /run\.json/.test(await file.slice(-TAIL).text());
    if (!/\.png$/i.test(file.name)) return false;
    const bytes = new DataView(await file.slice(0, MOST).arrayBuffer());
    for (let at = 8; at + 15 < bytes.byteLength; at += 12 + bytes.getUint32(at)) {
      const word = (from, length) => String.fromCharCode(...new Uint8Array(bytes.buffer, from, Math.min(length, bytes.byteLength - from)));
      if (word(at + 4, 4) === "IDAT") return false;
      if (/^[tiz]/.test(word(at + 4, 4)) && word(at + 8, 7) === "imgrag\0") return true;
    }
    return false;
  };

  // Of the ways: those that this can go. The folds of a run are filled only where there is one, and none is at work.
  const possible = (files, way) => {
    if (way === "library") return files.every((file) => PICTURE.test(file.name) || ZIP.test(file.name));
    if (files.length > 1 || !PICTURE.test(files[0].name)) return false;
    const phase = document.querySelector("#ir-strip [data-run]:not([data-run=''])")?.dataset.phase;
    return !["initial", "reference"].includes(way) || ["finished", "paused", "stopped", "failed"].includes(phase);
  };

  const ask = (files) => {
    const asked = document.querySelector("#ir-drop");
    if (!asked || document.querySelector("dialog[open]")) return;
    const dialog = document.createElement("dialog");
    dialog.className = "ir-help ir-asked ir-drop";
    dialog.setAttribute("aria-label", asked.dataset.name);
    dialog.innerHTML = asked.innerHTML;
    if (files.length === 1 && PICTURE.test(files[0].name)) {
      const picture = Object.assign(new Image(), { src: URL.createObjectURL(files[0]), alt: files[0].name });
      dialog.querySelector("h2").after(picture);
    }
    dialog.querySelectorAll("[data-way]").forEach((button) => { button.disabled = !possible(files, button.dataset.way); });
    dialog.querySelector("small").hidden = !dialog.querySelector("[data-way=initial]:disabled") || files.length > 1;
    dialog.addEventListener("click", (event) => {
      const way = event.target.closest("[data-way]")?.dataset.way;
      if (way) WAYS[way](files);
      if (way || event.target === dialog || event.target.closest("[data-close]")) dialog.close();
    });
    dialog.addEventListener("close", () => dialog.remove());
    document.querySelector(".gradio-container").append(dialog);
    dialog.showModal();
  };

  const take = async (files) => {
    if (!files.length) return;
    if (!files.every((file) => PICTURE.test(file.name) || ZIP.test(file.name))) {
      const said = document.querySelector("#ir-drop")?.dataset.taken;
      if (said && !document.querySelector("dialog[open]")) document.dispatchEvent(new CustomEvent("imgrag:given", { detail: { said } }));
      return;
    }
    if (files.length === 1 && await isSaved(files[0])) WAYS.run(files);
    else ask(files);
  };

  document.addEventListener("dragover", (event) => { if (carries(event) && !ofField(event.target)) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    if (!carries(event) || ofField(event.target)) return;
    event.preventDefault();  // or the browser would leave the page to show the file
    take([...event.dataTransfer.files]);
  });
})();
