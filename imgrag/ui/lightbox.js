// A picture as large as the window: of the result, a step, a reference, a card. Escape closes it, arrows turn over.
(() => {
  const GROUPS = [".ir-viewer", ".ir-board", ".ir-cards", ".ir-pair", ".ir-references"];
  const CLICKED = ".ir-viewer img, .ir-picture img, .ir-reference > img, .ir-pair img, .ir-shot > img";
  let dialog = null, images = [], place = 0;

  const word = (name) => document.querySelector(`#ir-words [data-word="${name}"]`)?.textContent ?? "";
  const loaded = (image) => image.getAttribute("src") && image.offsetParent !== null;

  const turn = (to) => {
    place = (to + images.length) % images.length;
    const picture = dialog.querySelector("img"), from = images[place];
    picture.src = from.dataset.large || from.src;
    picture.alt = from.alt;
    dialog.querySelector("p").textContent = from.alt;
    from.dispatchEvent(new Event("imgrag:looked", { bubbles: true }));  // a card has only a small one yet
    dialog.querySelectorAll("[data-turn]").forEach((button) => { button.hidden = images.length < 2; });
  };

  const build = () => {
    const made = document.createElement("dialog");
    made.className = "ir-lightbox";
    made.innerHTML = '<img alt=""><p></p><div><button type="button" data-turn="-1">‹</button><button type="button" data-turn="1">›</button><button type="button" data-close>×</button></div>';
    [["[data-turn='-1']", "previous"], ["[data-turn='1']", "next"], ["[data-close]", "close"]].forEach(([which, name]) => {
      made.querySelector(which).setAttribute("aria-label", word(name));
    });
    made.setAttribute("aria-label", word("large"));
    made.addEventListener("click", (event) => {
      const step = event.target.closest("[data-turn]")?.dataset.turn;
      if (step) turn(place + Number(step));
      else if (event.target === made || event.target.closest("[data-close]")) made.close();
    });
    made.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) turn(place + step);
    });
    made.addEventListener("close", () => made.remove());
    return made;
  };

  const open = (image) => {
    const group = image.closest(GROUPS.join(", ")) ?? document;
    images = [...group.querySelectorAll(CLICKED)].filter(loaded);
    if (!images.includes(image)) images = [image];
    dialog = build();
    document.querySelector(".gradio-container").append(dialog);
    turn(images.indexOf(image));
    dialog.showModal();
  };

  document.addEventListener("imgrag:large", ({ detail }) => { if (dialog?.open && images[place].dataset.file === detail?.file) dialog.querySelector("img").src = detail.src; });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-large]:not(img)");
    const image = button ? [...button.closest(".ir-viewer").querySelectorAll("img")].filter(loaded).pop()
      : event.target.closest(CLICKED) ?? event.target.closest(".ir-picture button")?.querySelector("img");
    if (image && loaded(image)) open(image);
  });
})();
