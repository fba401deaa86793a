// The map of heads: layers by heads, a button each, reached by arrow keys; colours and numbers are those of the chosen measure.

function drawMap(run, state, choose) {
  const table = document.getElementById("head-map");
  const [layers, heads] = run.shape;
  table.style.setProperty("--heads", heads);
  const head = table.tHead, body = table.tBodies[0];
  head.replaceChildren();
  body.replaceChildren();
  const top = head.insertRow();
  top.append(element("th", { scope: "col", "aria-label": "layer" }, ""));
  for (let j = 0; j < heads; j += 1) top.append(element("th", { scope: "col" }, String(j)));
  for (let i = layers - 1; i >= 0; i -= 1) {
    const row = body.insertRow();
    row.append(element("th", { scope: "row" }, String(i)));
    for (let j = 0; j < heads; j += 1) {
      const button = element("button", { type: "button", "data-head": `${i}.${j}` }, "");
      button.addEventListener("click", () => choose(`${i}.${j}`));
      row.insertCell().append(button);
    }
  }
  table.onkeydown = (event) => moveFocus(event, layers, heads);
  fillMap(run, state);
}

function fillMap(run, state) {
  const measure = measuresOf(run).find((own) => own.key === state.measure);
  const matrix = measure.matrix(state), seed = seedOf(run, state);
  const limits = matrix ? limitsOf(measure, matrix) : [0, 1];
  const power = measure.scaled && matrix ? powerOf(matrix) : 0, unit = power ? powerText(power) : measure.unit || "";
  const text = (value) => measure.text(value === null ? null : value * 10 ** power);
  const number = seed.places.flat().filter((place) => place !== null).length;
  document.getElementById("map-words").textContent = measure.words(state) + (power ? ` Numbers are in units of ${unit.slice(3)}.` : "");
  for (const button of document.querySelectorAll("#head-map button")) {
    const [i, j] = button.dataset.head.split(".").map(Number);
    const value = matrix ? matrix[i][j] : null;
    const pruned = seed.pruned.includes(button.dataset.head), place = seed.places[i][j];
    Object.assign(button.style, colourOf(measure, value, limits));
    // empty: no such head; a dash: not measured
    button.textContent = place === null ? "" : measure.scaled ? fitting(value === null ? null : value * 10 ** power) : text(value);
    button.classList.toggle("pruned", pruned);
    button.setAttribute("aria-pressed", String(button.dataset.head === state.head));
    button.tabIndex = button.dataset.head === state.head ? 0 : -1;
    const parts = [`head ${button.dataset.head}`];
    if (place === null) {
      parts.push("not in the encoder");
    } else {
      if (measure.key !== "place") parts.push(`${measure.label} ${value === null ? "not measured" : text(value) + unit}`);
      parts.push(`place ${place} of ${number}`);
    }
    if (pruned) parts.push(`pruned by seed ${seed.seed}`);
    button.setAttribute("aria-label", parts.join(", "));
  }
  drawLegend(measure, matrix ? limits : null, (value) => (measure.scaled ? fitting(value * 10 ** power) : text(value)) + unit);
}

function drawLegend(measure, limits, text) {
  const legend = document.getElementById("legend");
  legend.replaceChildren();
  if (limits === null) return;
  const stops = [0, 0.25, 0.5, 0.75, 1].map((share) => colourOf(measure, limits[0] + share * (limits[1] - limits[0]), limits).background);
  const bar = element("i", {}, "");
  bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  legend.append(text(limits[0]), bar, text(limits[1]));
}

function moveFocus(event, layers, heads) {
  const from = event.target.dataset && event.target.dataset.head;
  if (!from) return;
  let [i, j] = from.split(".").map(Number);
  const steps = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  if (event.key in steps) {
    i = Math.max(0, Math.min(layers - 1, i + steps[event.key][0]));
    j = Math.max(0, Math.min(heads - 1, j + steps[event.key][1]));
  } else if (event.key === "Home") {
    j = 0;
  } else if (event.key === "End") {
    j = heads - 1;
  } else {
    return;
  }
  event.preventDefault();
  const next = document.querySelector(`#head-map button[data-head="${i}.${j}"]`);
  for (const button of document.querySelectorAll("#head-map button")) button.tabIndex = button === next ? 0 : -1;
  next.focus();
}

function element(name, attributes, text) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}
