// What is given away: a file is downloaded, a link stands in a dialog and can be copied, and so does what was wrong.
(() => {
  const word = (name) => document.querySelector(`#ir-words [data-word="${name}"]`)?.textContent ?? "";
  const root = () => window.gradio_config?.root ?? "";
  const address = (file) => `${root()}${window.gradio_config?.api_prefix ?? ""}/file=${encodeURI(file).replace(/[?#]/g, encodeURIComponent)}`;

  const download = ({ file, name }) => {
    const link = Object.assign(document.createElement("a"), { href: address(file), download: name });
    document.body.append(link);
    link.click();
    link.remove();
  };

  const say = (text, link) => {
    const dialog = document.createElement("dialog"), words = document.createElement("p");
    dialog.className = "ir-help ir-asked";
    dialog.setAttribute("aria-label", link ? word("share") : text);
    words.textContent = text;
    dialog.append(words);
    if (link) {
      const field = Object.assign(document.createElement("input"), { type: "text", readOnly: true, value: link });
      const copy = Object.assign(document.createElement("button"), { type: "button", textContent: word("copy") });
      field.setAttribute("aria-label", word("share"));
      copy.addEventListener("click", async () => {
        field.select();
        // Without TLS, off localhost, there is no clipboard; what is selected can be copied by hand.
        await navigator.clipboard?.writeText(link).then(() => { copy.textContent = word("copied"); }, () => {});
      });
      dialog.append(field, copy);
    }
    const close = Object.assign(document.createElement("button"), { type: "button", textContent: word("close") });
    close.addEventListener("click", () => dialog.close());
    dialog.append(close);
    dialog.addEventListener("close", () => dialog.remove());
    document.querySelector(".gradio-container").append(dialog);
    dialog.showModal();
  };

  document.addEventListener("imgrag:given", ({ detail }) => {
    document.querySelectorAll("details.ir-take[open]").forEach((menu) => { menu.open = false; });
    if (detail.file) download(detail);
    else if (detail.link) say(word("links"), `${root()}/${detail.link}`);
    else say(detail.said);
  });
})();
