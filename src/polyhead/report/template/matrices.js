// How far rankings agree, as coloured tables; those inside closed parts of the page are drawn when these are opened.

function drawMatrices(within) {
  for (const box of within.querySelectorAll(".matrix:empty")) {
    if (box.closest("details:not([open])")) continue;
    box.append(matrixTable(unpacked(box.dataset.of === "across" ? DATA.across : DATA.runs[box.dataset.of].agreement)));
  }
}

function matrixTable(found) {
  const scroll = element("div", { class: "scroll", tabindex: "0" }, "");
  const table = element("table", { style: `--columns: ${found.names.length + 1}` }, "");
  const top = table.createTHead().insertRow(), body = table.createTBody();
  top.append(element("td", {}, ""), ...found.names.map((name) => element("th", { scope: "col" }, name)));
  found.rho.forEach((values, place) => {
    const row = body.insertRow();
    row.append(element("th", { scope: "row" }, found.names[place]));
    for (const value of values) {
      const cell = element("td", {}, value === null ? "–" : value.toFixed(2));
      // blue where rankings agree: the other way round than effects, whose helpful side is the negative one
      if (value !== null) Object.assign(cell.style, colourOf({ diverging: true }, -value, [-1, 1]));
      row.append(cell);
    }
  });
  scroll.append(table);
  return scroll;
}
