// Choices above the map, kept in one state; every change draws what depends on it.

const state = { run: 0, measure: "place", seed: "", language: "", head: "" };

const opened = [];

function currentRun() {
  opened[state.run] ||= unpacked(DATA.runs[state.run]);
  return opened[state.run];
}

function choose(head) {
  state.head = head;
  fillMap(currentRun(), state);
  drawPanel(currentRun(), state);
  const button = document.querySelector(`#head-map button[data-head="${head}"]`);
  if (button && document.getElementById("head-map").contains(document.activeElement)) button.focus();
}

function options(select, rows, value) {
  select.replaceChildren(...rows.map(([key, label]) => element("option", { value: key }, label)));
  select.value = rows.some(([key]) => key === value) ? value : rows[0][0];
  return select.value;
}

function showChoices() {
  const measure = measuresOf(currentRun()).find((own) => own.key === state.measure);
  document.getElementById("language-choice").hidden = measure.of !== "language";
}

function openRun(index) {
  state.run = index;
  const run = currentRun();
  state.measure = options(document.getElementById("measure"), measuresOf(run).map((own) => [own.key, own.label]), state.measure);
  state.seed = options(document.getElementById("seed"), run.seeds.map((own) => [String(own.seed), String(own.seed)]), state.seed);
  if (run.languages.length) {
    state.language = options(document.getElementById("language"), run.languages.map((own) => [own.name, own.name]), state.language);
  }
  document.getElementById("seed-choice").hidden = run.seeds.length < 2;
  const [layers, heads] = run.shape, [i, j] = (state.head || "0.0").split(".").map(Number);
  if (!state.head || i >= layers || j >= heads) state.head = firstHead(run);
  const notes = run.left_out.map((own) => `Not profiled: ${own.name} (${own.why}).`);
  if (run.slimmed.length) notes.push(`Left out to keep this page small: ${run.slimmed.join("; ")}. The run’s heads.json has everything.`);
  document.getElementById("left-out").textContent = notes.join(" ");
  showChoices();
  drawMap(run, state, choose);
  drawPanel(run, state);
}

function firstHead(run) {
  const places = run.seeds[0].places;
  for (let i = 0; i < places.length; i += 1) for (let j = 0; j < places[i].length; j += 1) if (places[i][j] === 1) return `${i}.${j}`;
  return "0.0";
}

function start() {
  const choices = document.querySelector(".controls");
  options(document.getElementById("run"), DATA.runs.map((run, index) => [String(index), run.name]), "0");
  document.getElementById("run").parentElement.hidden = DATA.runs.length < 2;
  document.getElementById("run").addEventListener("change", (event) => openRun(Number(event.target.value)));
  for (const name of ["measure", "seed", "language"]) {
    document.getElementById(name).addEventListener("change", (event) => {
      state[name] = event.target.value;
      showChoices();
      fillMap(currentRun(), state);
    });
  }
  choices.hidden = false;
  openRun(0);
  window.addEventListener("beforeprint", () => document.querySelectorAll("details:not([open])").forEach((details) => {
    details.open = true;
    details.dataset.printed = "";
  }));
  window.addEventListener("beforeprint", () => drawMatrices(document));
  document.querySelectorAll("#agreement details").forEach((details) => details.addEventListener("toggle", () => drawMatrices(details)));
  window.addEventListener("afterprint", () => document.querySelectorAll("details[data-printed]").forEach((details) => {
    details.open = false;
    delete details.dataset.printed;
  }));
  document.querySelectorAll("main .scroll table, #headline table").forEach(sortable);
  drawMatrices(document);
}

start();
