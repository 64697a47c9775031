(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // Sorting: the first click puts the best on top, the second the worst; missing figures stay at the bottom.
  const board = byId("board");
  const compare = (column, text) => (a, b) => {
    const [x, y] = [a, b].map((row) => row.cells[column].dataset.value);
    return text ? x.localeCompare(y) : Number(x) - Number(y);
  };
  const sort = (button) => {
    const column = Number(button.dataset.column), text = button.dataset.kind === "text", head = button.closest("th");
    const first = button.dataset.higher === "true" ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    const missing = (row) => row.cells[column].dataset.value === "";
    const rows = [...board.tBodies[0].rows];
    const known = rows.filter((row) => !missing(row)).sort(compare(column, text));
    if (order === "descending") known.reverse();
    all("th[aria-sort]", board).forEach((cell) => cell.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    board.tBodies[0].append(...known, ...rows.filter(missing));
  };
  all("thead button", board).forEach((button) => button.addEventListener("click", () => sort(button)));

  const more = byId("more");
  if (more) {
    const words = more.textContent;
    more.addEventListener("click", () => {
      const compact = board.classList.toggle("compact");
      more.setAttribute("aria-pressed", String(!compact));
      more.textContent = compact ? words : "Show main measures";
    });
  }

  // One choice of measure for all methods, so that they stay comparable.
  all("select.by").forEach((select) => select.addEventListener("change", () => {
    all("select.by").forEach((other) => {
      if (![...other.options].some((option) => option.value === select.value)) return;
      other.value = select.value;
      all(".ranked", other.closest("section")).forEach((group) => { group.hidden = group.dataset.metric !== select.value; });
    });
  }));

  byId("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(byId("command").textContent);
      byId("copy").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(byId("command"));
    }
  });
  addEventListener("beforeprint", () => all("details").forEach((element) => { element.open = true; }));
})();
