// A study's page: open what a link leads to, draw the map of heads of an opened cell, sort tables.

function element(name, attributes, text) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function drawCell(details) {
  const box = details.querySelector(".box");
  if (!details.dataset.places || box.querySelector("table")) return;
  const layers = details.dataset.places.split(";").map((line) => line.split(",").map((text) => (text ? Number(text) : null)));
  const pruned = new Set(details.dataset.pruned.split(" "));
  const last = Math.max(...layers.flat().map((place) => place ?? 0), 2);
  const table = element("table", { class: "map" }), body = table.createTBody();
  for (let layer = layers.length - 1; layer >= 0; layer -= 1) {
    const row = body.insertRow();
    row.append(element("th", { scope: "row" }, String(layer)));
    layers[layer].forEach((place, head) => {
      const cell = row.insertCell();
      if (place === null) return;
      const share = (place - 1) / (last - 1);
      cell.textContent = String(place);
      cell.title = `head ${layer}.${head}${pruned.has(`${layer}.${head}`) ? ", pruned" : ""}`;
      cell.style.background = `hsl(${220 - 40 * share} 45% ${92 - 62 * share}%)`;
      cell.style.color = share > 0.5 ? "#fff" : "#000";
      if (pruned.has(`${layer}.${head}`)) cell.className = "pruned";
    });
  }
  box.replaceChildren(table);
}

function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let place = target; place; place = place.parentElement) if (place.tagName === "DETAILS") place.open = true;
  if (target) target.scrollIntoView();
}

document.querySelectorAll("details[data-places]").forEach((details) => details.addEventListener("toggle", () => drawCell(details)));
document.querySelectorAll("#tables table").forEach(sortable);
window.addEventListener("hashchange", openTarget);
openTarget();
