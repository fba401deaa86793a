// Sortable tables: select a column's title once for ascending order, again for descending, a third time for the original order.

function sortable(table) {
  const body = table.tBodies[0];
  if (table.id || !table.tHead || !body || body.rows.length < 3) return;
  const rows = [...body.rows], titles = [...table.tHead.rows[0].cells];
  titles.forEach((title, column) => {
    if (!title.textContent) return;
    const button = element("button", { type: "button", class: "sort" }, title.textContent);
    title.replaceChildren(button);
    button.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[title.ariaSort || "none"];
      titles.forEach((other) => other.removeAttribute("aria-sort"));
      if (next !== "none") title.setAttribute("aria-sort", next);
      body.append(...(next === "none" ? rows : inOrder(rows, column, next === "descending")));
    });
  });
}

// numbers by size and texts by letters; rows of means and cells without a value stay below in either order
function inOrder(rows, column, falling) {
  const summaries = rows.filter(isSummary), others = rows.filter((row) => !isSummary(row));
  const keyed = others.map((row) => [sortKey(row.cells[column].textContent), row]);
  const isNumeric = keyed.every(([key]) => key === null || typeof key === "number");
  const compare = (one, other) => (isNumeric ? one - other : String(one).localeCompare(String(other)));
  const known = keyed.filter(([key]) => key !== null).sort((a, b) => (falling ? -1 : 1) * compare(a[0], b[0]));
  return [...known, ...keyed.filter(([key]) => key === null)].map(([, row]) => row).concat(summaries);
}

function isSummary(row) {
  return /^mean\b/.test(row.cells[0].textContent);
}

function sortKey(text) {
  const plain = text.trim();
  if (plain === "" || plain === "–") return null;
  const number = plain.replace(/−/g, "-").replace(/,(?=\d{3})/g, "").match(/^[+-]?\d+(\.\d+)?(?=$| %| to | \()/);
  return number ? Number(number[0]) : plain;
}
