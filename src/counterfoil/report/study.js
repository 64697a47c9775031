// Tables that sort by their headings, and a list of jobs that can be searched.
(() => {
  "use strict";
  const DASH = "–";
  // The figure of a cell without its interval; text where it is none.
  const figure = (cell) => {
    const text = cell.textContent.trim(), first = text.replace(/,/g, "").match(/^-?[\d.]+(e-?\d+)?/);
    return text === DASH || text === "" ? null : first ? Number(first[0]) : text;
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b
    : String(a).localeCompare(String(b), "en", { numeric: true });

  // The first click puts the best on top where a direction is declared, else the least; what is missing stays below.
  const sort = (table, head) => {
    const column = head.cellIndex, down = head.textContent.includes("↑");
    const before = head.getAttribute("aria-sort"), first = down ? "descending" : "ascending";
    const order = before === first ? (down ? "ascending" : "descending") : first;
    const rows = [...table.tBodies[0].rows].map((row) => ({ row, key: figure(row.cells[column]) }));
    const known = rows.filter((one) => one.key !== null).sort((a, b) => compare(a.key, b.key));
    if (order === "descending") known.reverse();
    table.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    table.tBodies[0].append(...[...known, ...rows.filter((one) => one.key === null)].map((one) => one.row));
  };
  document.querySelectorAll("table.joined").forEach((table) => table.querySelectorAll("thead th").forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(table, head));
    head.append(button);
  }));

  const wanted = document.getElementById("wanted");
  if (wanted) {
    const rows = [...document.querySelectorAll("#listed tbody tr")];
    wanted.addEventListener("input", () => {
      const words = wanted.value.toLowerCase().split(/\s+/).filter(Boolean);
      rows.forEach((row) => { row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word)); });
      document.getElementById("found").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
    });
  }
})();
