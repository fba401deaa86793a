// Example sentences: choose a word, and the shades of all words say where the head's attention goes from there.

function weightsOf(example) {
  if (!example.bytes) example.bytes = bytesOf(example.weights);
  return example.bytes;
}

function drawSentence(run, own, example, head) {
  const [layer, place] = head.split(".").map(Number);
  const n = example.words.length;
  const start = (layer * run.shape[1] + place) * n * (n + 1);
  const box = element("p", { class: "sentence", lang: own.language, dir: example.direction }, "");
  const words = example.words.map((word) => element("button", { type: "button", class: "word" }, ""));
  const last = element("span", { class: "word separators", lang: "en" }, "");
  box.append(...words.flatMap((button) => [button, " "]), last);

  function attend(from) {
    const row = weightsOf(example).subarray(start + from * (n + 1), start + (from + 1) * (n + 1));
    [...words, last].forEach((box_, to) => {
      const share = row[to] / 255;
      box_.replaceChildren(to < n ? example.words[to] : example.separators || "special", element("small", {}, `${Math.round(100 * share)} %`));
      box_.style.background = `rgb(11 92 173 / ${(0.6 * share).toFixed(3)})`;
      if (to < n) box_.setAttribute("aria-pressed", String(to === from));
    });
  }
  words.forEach((button, from) => button.addEventListener("click", () => attend(from)));
  attend(Math.min(1, n - 1));
  return box;
}
