// Everything measured about one head: its place in every seed, and in every language its score, effect and attention.

function drawPanel(run, state) {
  const panel = document.getElementById("head-panel");
  const head = state.head, [i, j] = head.split(".").map(Number);
  panel.dataset.head = head;
  const places = seedLine(run, i, j, head);
  panel.replaceChildren(element("h3", {}, `Head ${head}: layer ${i}, head ${j}`), element("p", {}, places));
  // the panel is long: screen readers announce only its first lines
  document.getElementById("chosen-head").textContent = `Head ${head}. ${places}`;
  if (run.seeds[0].places[i][j] === null) return;
  if (!run.languages.length) {
    panel.append(element("p", {}, run.measured ? "Its effect in each language was not measured: no language could be profiled." : "Its effect in each language was not measured: this run has no heads.json. Run the same polyhead run command again to add it."));
    return;
  }
  panel.append(effectTable(run, i, j), attentionTable(run, i, j));
  const relations = relationTable(run, i, j);
  panel.append(element("h4", {}, "Along dependencies, compared with uniform attention"));
  panel.append(relations || element("p", { class: "note" }, run.slimmed.includes("relations") ? "Left out to keep this page small; heads.json has them." : "Not measured: no trees, or no relation with 20 words in a sample."));
  panel.append(element("h4", {}, "Examples"));
  const shownOnes = run.languages.filter((own) => own.examples.length);
  panel.append(element("p", { class: "note" }, shownOnes.length ? "Select a word to see what this head attends to from it, in per cent." : run.slimmed.some((what) => what.startsWith("example")) ? "Left out to keep this page small; heads.json has them." : "None: the run or the page was made with --no-text, or the samples have no sentence of 6 to 14 words."));
  for (const own of shownOnes) {
    panel.append(element("div", { class: "note" }, own.name));
    for (const example of own.examples) panel.append(drawSentence(run, own, example, head));
  }
}

function seedLine(run, i, j, head) {
  const parts = run.seeds.map((own) => {
    const place = own.places[i][j];
    if (place === null) return `seed ${own.seed}: not in the encoder`;
    return `seed ${own.seed}: place ${place} of ${own.places.flat().filter((n) => n !== null).length}${own.pruned.includes(head) ? ", pruned" : ", kept"}`;
  });
  return `Place in the ranking (1 is pruned first): ${parts.join("; ")}.`;
}

function effectTable(run, i, j) {
  const rows = run.languages.map((own) => {
    const scores = run.methods.flatMap((method) => scoreAndPlace(own.scores[method], i, j));
    const bounds = own.low[i][j] === null || own.high[i][j] === null ? "–" : `${signed(own.low[i][j])} to ${signed(own.high[i][j])}`;
    const effect = own.difference[i][j] === null ? "not measured" : signed(own.difference[i][j]);
    return [own.name, own.n_words.toLocaleString("en"), ...scores, shown(own.estimate[i][j]), effect, bounds];
  });
  const titles = ["language", "words", ...run.methods.flatMap((method) => [`score, ${method}`, "place"]), "estimated loss", "effect", "95 % interval"];
  const words = `On dev samples, by the unpruned model of seed ${run.profile_seed}. Place: 1 has the lowest score in that language. Estimated loss: how much the loss rises without this head, from gradients. Effect: measured only for the ${run.n_measured} heads with the largest estimates; points of ${run.languages[0].metric.replace("_", "-")} with this head ablated minus with all heads; intervals: this model, other sentences.`;
  return framed("Score and effect", titles, rows, words);
}

function scoreAndPlace(matrix, i, j) {
  if (!matrix || matrix[i][j] === null) return ["–", "–"];
  return [shown(matrix[i][j]), String(1 + matrix.flat().filter((value) => value !== null && value < matrix[i][j]).length)];
}

function attentionTable(run, i, j) {
  const kinds = Object.keys(PLACE_NAMES);
  const rows = run.languages.map((own) => [own.name, ...kinds.map((kind) => {
    const share = own.shares[kind];
    return share ? `${percent(share.values[i][j])} (${percent(share.even)})` : "–";
  })]);
  return framed("Attention, per cent", ["language", ...kinds.map((kind) => PLACE_NAMES[kind])], rows, "Mean over words; in brackets what uniform attention would give.");
}

function relationTable(run, i, j) {
  const rows = [];
  for (const own of run.languages) {
    const found = own.relations.flatMap((item) => Object.keys(WAYS).map((way) => ({ item, way, share: item[way] })));
    const ratio = (one) => one.share.values[i][j] / Math.max(one.share.even, 1);
    found.sort((a, b) => ratio(b) - ratio(a));
    for (const one of found.slice(0, 2)) {
      const from = one.way === "to_head" ? `${one.item.relation} → its head` : `head → its ${one.item.relation}`;
      rows.push([own.name, from, percent(one.share.values[i][j]), percent(one.share.even), String(one.item.n)]);
    }
  }
  return rows.length ? framed("", ["language", "from → to", "per cent", "uniform", "words"], rows, "The two relations with the highest share compared with uniform attention; the highest of many, so small differences may be chance.") : null;
}

function framed(name, titles, rows, note) {
  const box = element("div", {}, "");
  if (name) box.append(element("h4", {}, name));
  const scroll = element("div", { class: "scroll", tabindex: "0" }, ""), table = element("table", {}, "");
  const top = table.createTHead().insertRow();
  titles.forEach((title, place) => top.append(element("th", { scope: "col", class: place ? "number" : "" }, title)));
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((text, place) => line.append(element("td", { class: place ? "number" : "" }, text)));
  }
  scroll.append(table);
  box.append(scroll, element("p", { class: "note" }, note));
  return box;
}
