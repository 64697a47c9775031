// All queries: filters, the sortable table, and one query with all methods. The state stands in the address.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const records = JSON.parse(byId("records").textContent);
  const { columns, methods, tiles } = records;
  const SHOWN = 50, DASH = "–";

  const make = (tag, given = {}, ...inside) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(given)) {
      if (name === "text") element.textContent = value;
      else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null) element.setAttribute(name, value);
    }
    element.append(...inside.filter((part) => part !== null));
    return element;
  };

  // The same figures as in the tables that the run wrote: two or three significant digits, shares in per cent.
  const decimals = [0, 1, 2, 3, 4].map((digits) => new Intl.NumberFormat(
    "en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  const number = (value, unit = "") => {
    if (value === null || value === undefined) return DASH;
    const scaled = value * (unit === "%" ? 100 : 1), size = Math.abs(scaled);
    if (unit !== "%" && size > 0 && size < 0.00095) return scaled.toExponential(1);
    let digits = unit === "%" ? (size < 99.95 ? 1 : 0) : 0;
    if (unit !== "%" && size !== 0 && size < 99.5) digits = size >= 9.95 ? 1 : size >= 0.9995 ? 2 : size >= 0.0095 ? 3 : 4;
    return decimals[digits].format(scaled);
  };
  const probability = (value) => value === null || value === undefined ? DASH
    : value > 0 && value < 0.005 ? "<.01" : value >= 0.995 && value < 1 ? ">.99" : value.toFixed(2);

  // One object per counterfactual; its place in the method's columns is `at`.
  const rows = methods.flatMap((method, m) => method.query.map((query, at) => ({ m, at, query })))
    .sort((a, b) => a.query - b.query || a.m - b.m || a.at - b.at);
  const column = (read, label, more = {}) => ({ read, label, text: false, ...more });
  const fixed = {
    image: column((row) => records.name[row.query], "Image", { text: true }),
    method: column((row) => methods[row.m].name, "Method", { text: true }),
    source: column((row) => className(records.source[row.query]), "Read as", { text: true }),
    target: column((row) => className(methods[row.m].target[row.at]), "Target", { text: true }),
    p: column((row) => methods[row.m].after[row.at], "p(target)", { higher: true, show: probability }),
    valid: column((row) => methods[row.m].valid[row.at], "Valid", { higher: true }),
    judge: column((row) => methods[row.m].judge && methods[row.m].judge[row.at], "Judge", { higher: true }),
  };
  const measured = columns.map((about, c) => column(
    (row) => { const values = methods[row.m].values[c]; return values === null ? null : values[row.at]; },
    about.label, { ...about, show: (value) => number(value, about.unit) }));
  const sortable = { ...fixed, ...Object.fromEntries(measured.map((about) => [`m.${about.key}`, about])) };
  const className = (k) => records.classes[k] ?? String(k);
  const judged = methods.some((method) => method.judge !== null);

  // Filters in the order of the form; "" lets everything through.
  const FILTERS = ["source", "target", "method", "valid", "judge", "image"];
  const state = { sort: "", down: false, page: 0, query: null };
  FILTERS.forEach((name) => { state[name] = ""; });
  const form = byId("filters");

  const keeps = () => {
    const tests = [];
    const equal = (name, read) => {
      const wanted = Number(state[name]);
      if (state[name] !== "") tests.push((row) => read(row) === wanted);
    };
    equal("source", (row) => records.source[row.query]);
    equal("target", (row) => methods[row.m].target[row.at]);
    equal("method", (row) => row.m);
    equal("valid", fixed.valid.read);
    equal("judge", fixed.judge.read);
    if (state.image) {
      const part = state.image.toLowerCase();
      const named = records.name.map((name) => name.toLowerCase().includes(part));
      tests.push((row) => named[row.query]);
    }
    return (row) => tests.every((test) => test(row));
  };

  const collator = new Intl.Collator("en", { numeric: true });
  // Missing figures stay at the bottom, whichever way the rest is sorted; equal ones keep their order.
  const sorted = (found) => {
    const by = sortable[state.sort];
    if (!by) return found;
    const missing = (value) => value === null || value === undefined;
    let key = by.read;
    if (by.text) {  // words are compared once, not at every step of the sort
      const words = [...new Set(found.map(by.read))].sort(collator.compare);
      const place = new Map(words.map((word, rank) => [word, rank]));
      key = (row) => place.get(by.read(row));
    }
    const keyed = found.map((row) => ({ row, key: key(row) }));
    const known = keyed.filter((one) => !missing(one.key));
    known.sort((a, b) => (state.down ? b.key - a.key : a.key - b.key));
    return [...known, ...keyed.filter((one) => missing(one.key))].map((one) => one.row);
  };

  let chosen = rows;
  const shownColumns = () => measured.filter((about) => about.shown);

  const tile = (series, place, about, extra = "") => make("span", {
    class: `px tile s-${series}-${Math.floor(place / tiles.sheet)} ${extra}`, role: "img", "aria-label": about,
    style: `--c:${place % tiles.columns};--r:${Math.floor(place % tiles.sheet / tiles.columns)}`,
  });
  const verdict = (row) => {
    const method = methods[row.m], valid = method.valid[row.at], judge = fixed.judge.read(row);
    const source = records.source[row.query], said = method.said[row.at];
    const told = valid ? "✓ valid" : method.failed[row.at] ? "✗ not finite"
      : `✗ ${said === source ? "still" : "says"} ${className(said)}`;
    const parts = [make("span", { class: valid ? "good" : "bad", text: told })];
    if (judge !== null && judge !== undefined) {
      const p = method.judged ? `judge: p = ${probability(method.judged[row.at])}` : null;
      parts.push(" ", make("span", { class: judge ? "good" : "bad", text: `${judge ? "✓" : "✗"} judge`, title: p }));
    }
    return parts;
  };
  const dot = (m) => make("i", { class: "dot", style: `--dot:var(--s${m % 8})` });

  // ---- The table ------------------------------------------------------------------------------------------
  const head = (key, about, extra = "") => {
    const order = state.sort === key ? (state.down ? "descending" : "ascending") : null;
    const button = make("button", { type: "button", "data-sort": key }, about.label);
    if (about.unit || about.higher !== undefined) {
      const arrow = about.higher === true ? "↑" : about.higher === false ? "↓" : "";
      const better = about.higher === true ? "more is better" : "less is better";
      const told = arrow ? make("span", { "aria-label": better, role: "img", text: arrow }) : "";
      button.append(make("small", {}, `${about.unit || ""} `, told));
    }
    button.append(make("span", { class: "mark", "aria-hidden": "true" }));
    return make("th", { scope: "col", class: extra, "aria-sort": order }, button);
  };
  const heads = () => make("thead", {}, make("tr", {},
    head("image", fixed.image, "first"), head("method", fixed.method, "text"),
    make("th", { scope: "col", class: "flat", text: "Factual, counterfactual, difference" }),
    head("source", fixed.source, "text"), head("target", fixed.target, "text"),
    head("p", fixed.p), head("valid", { ...fixed.valid, label: judged ? "Valid, judge" : "Valid" }, "text"),
    ...shownColumns().map((about) => head(`m.${about.key}`, about))));
  const line = (row) => {
    const id = records.query[row.query], name = records.name[row.query], method = methods[row.m];
    return make("tr", {},
      make("th", { scope: "row", class: "first" }, make("a", { href: `#query=${id}`, "data-query": id, text: name })),
      make("td", { class: "text" }, make("span", { class: "name" }, dot(row.m), make("span", { text: method.name }))),
      make("td", {}, make("div", { class: "triple" }, tile("f", row.query, `factual, ${name}`),
        tile(row.m, 2 * row.at, `counterfactual by ${method.name}`), tile(row.m, 2 * row.at + 1, "signed difference", "change"))),
      make("td", { class: "text", text: fixed.source.read(row) }), make("td", { class: "text", text: fixed.target.read(row) }),
      make("td", { text: `${probability(method.before[row.at])} → ${probability(method.after[row.at])}` }),
      make("td", { class: "text" }, ...verdict(row)),
      ...shownColumns().map((about) => make("td", { text: about.show(about.read(row)) })));
  };

  // What is chosen in a few figures, by method: shares of known verdicts, means of known values.
  const means = () => {
    const shown = shownColumns();
    const read = [fixed.valid, ...(judged ? [fixed.judge] : []), ...shown];
    const sums = methods.map(() => ({ n: 0, sum: read.map(() => 0), known: read.map(() => 0) }));
    for (const row of chosen) {
      const into = sums[row.m];
      into.n += 1;
      read.forEach((about, c) => {
        const value = about.read(row);
        if (value !== null && value !== undefined) { into.sum[c] += value; into.known[c] += 1; }
      });
    }
    const unit = (about) => (about === fixed.valid || about === fixed.judge ? "%" : about.unit || "");
    const cells = (into) => read.map((about, c) => make("td", {
      text: into.known[c] ? number(into.sum[c] / into.known[c], unit(about)) : DASH,
    }));
    const name = (m) => make("span", { class: "name" }, dot(m), make("span", { text: methods[m].name }));
    byId("means").replaceChildren(
      make("caption", { text: "Means of the counterfactuals chosen" }),
      make("thead", {}, make("tr", {}, ...["Method", "n"].map((text, c) => make("th", { scope: "col", class: c ? "" : "first", text })),
        ...read.map((about) => make("th", { scope: "col", text: `${about.label} ${unit(about)}`.trim() })))),
      make("tbody", {}, ...sums.map((into, m) => into.n === 0 ? null : make("tr", {},
        make("th", { scope: "row", class: "first" }, name(m)),
        make("td", { text: into.n.toLocaleString("en-US") }), ...cells(into))).filter(Boolean)));
  };

  const draw = () => {
    const pages = Math.max(1, Math.ceil(chosen.length / SHOWN));
    state.page = Math.min(state.page, pages - 1);
    const from = state.page * SHOWN, part = chosen.slice(from, from + SHOWN);
    byId("rows").replaceChildren(heads(), make("tbody", {}, ...part.map(line)));
    const written = (n) => n.toLocaleString("en-US"), queries = new Set(chosen.map((row) => row.query)).size;
    byId("found").textContent = chosen.length
      ? `${written(chosen.length)} of ${written(rows.length)} counterfactuals, of ${written(queries)} queries.`
      : "No counterfactual fits; clear a filter.";
    byId("place").textContent = chosen.length ? `${written(from + 1)}–${written(from + part.length)} of ${written(chosen.length)}` : DASH;
    byId("back").disabled = state.page === 0;
    byId("forth").disabled = state.page >= pages - 1;
  };
  const refresh = () => {
    chosen = sorted(rows.filter(keeps()));
    means();
    draw();
  };

  // ---- One query ------------------------------------------------------------------------------------------
  const look = () => document.querySelector("input[name=look]:checked").value;
  const picture = (row, step) => {
    const method = methods[row.m], name = records.name[row.query];
    const walk = method.walk ? method.walk.place[row.at] : -1;
    const frames = walk >= 0 ? method.walk.frames[walk] : [];
    const along = step >= 0 && step < frames.length;
    const series = along ? `w${row.m}` : row.m, place = 2 * (along ? walk * frames.length + step : row.at);
    const invalid = method.valid[row.at] ? "" : " invalid";
    const factual = (extra) => tile("f", row.query, `factual, ${name}`, extra);
    const made = (extra) => tile(series, place, along ? `step ${step + 1} by ${method.name}` : `counterfactual by ${method.name}`, extra);
    const change = (extra) => tile(series, place + 1, "signed difference", `change ${extra}`);
    if (look() === "triple") return make("div", { class: "triple" }, factual(""), made(invalid), change(""));
    if (look() === "wipe") return make("div", { class: `stack${invalid}` }, factual(""), made("over"), make("i", { class: "edge" }));
    return make("div", { class: `stack${invalid}` }, factual("faint"), change(""));
  };
  const told = (frame, step, count) => {
    const [requested, obtained, own, decided] = frame;
    const asked = requested === null ? "" : `requested ${probability(requested)}, `;
    return `step ${step + 1} of ${count}: ${asked}p = ${probability(obtained ?? own)}${decided ? " ✓" : ""}`;
  };
  const counterfactual = (row) => {
    const method = methods[row.m], place = method.walk ? method.walk.place[row.at] : -1;
    const frames = place >= 0 ? method.walk.frames[place] : [];
    const handed = frames.findIndex((frame) => frame[4] === 1);
    let step = frames.length ? (handed >= 0 ? handed : frames.length - 1) : -1;
    const shown = make("div", { class: "shown" }, picture(row, step));
    const redraw = () => shown.replaceChildren(picture(row, step));
    redraws.push(redraw);
    let slider = null;
    if (frames.length) {
      const output = make("output", { text: told(frames[step], step, frames.length) });
      const input = make("input", { type: "range", min: 0, max: frames.length - 1, step: 1, value: step,
        "aria-label": `step of ${method.name}`, "aria-valuetext": output.textContent });
      input.addEventListener("input", () => {
        step = Number(input.value);
        output.textContent = told(frames[step], step, frames.length) + (step === handed ? ", the counterfactual" : "");
        input.setAttribute("aria-valuetext", output.textContent);
        redraw();
      });
      slider = make("div", { class: "step" }, input, output);
    }
    const facts = (wanted) => {
      const known = measured.filter((about) => about.shown === wanted).map((about) => [about, about.read(row)])
        .filter(([, value]) => value !== null && value !== undefined);
      return known.length === 0 ? null : make("dl", { class: "facts" }, ...known.map(([about, value]) => make("div", {},
        make("dt", { text: about.label }), make("dd", { text: `${about.show(value)}${about.unit ? ` ${about.unit}` : ""}` }))));
    };
    const more = facts(false);
    return make("article", { class: "by-method" },
      make("h4", { class: "name" }, dot(row.m), make("span", { text: method.name })), shown, slider,
      make("p", { class: "line" }, make("span", {}, "→ ", make("b", { text: className(method.target[row.at]) }),
        ` p ${probability(method.before[row.at])} → `, make("b", { text: probability(method.after[row.at]) })),
      make("span", { class: "said" }, ...verdict(row))),
      facts(true), more && make("details", {}, make("summary", { text: "More measures" }), more));
  };

  let redraws = [], opener = null;
  const order = () => [...new Set(chosen.map((row) => row.query))];
  const neighbour = (step) => {
    const found = order(), at = found.indexOf(records.query.indexOf(state.query));
    return found[at < 0 ? (step > 0 ? 0 : found.length - 1) : at + step];
  };
  const show = () => {
    const panel = byId("query"), place = records.query.indexOf(state.query);
    panel.hidden = place < 0;
    redraws = [];
    if (place < 0) { byId("by-methods").replaceChildren(); return; }
    byId("query-title").textContent = `${records.name[place]}, read as ${className(records.source[place])}`;
    byId("by-methods").replaceChildren(...rows.filter((row) => row.query === place).map(counterfactual));
    byId("previous").disabled = neighbour(-1) === undefined;
    byId("next").disabled = neighbour(1) === undefined;
  };
  const openQuery = (id, focus = true, anew = false) => {
    state.query = id;
    show();
    write(anew);
    if (id === null || byId("query").hidden) return;
    byId("query").scrollIntoView({ block: "start", behavior: "instant" });
    if (focus) byId("query").focus({ preventScroll: true });
  };
  const closeQuery = () => {
    const from = opener ?? state.query;
    openQuery(null);
    const link = document.querySelector(`#rows a[data-query="${from}"]`);
    (link ?? form.elements.source).focus();
    opener = null;
  };

  // ---- The address ----------------------------------------------------------------------------------------
  const write = (anew = false) => {
    const told = new URLSearchParams();
    FILTERS.forEach((name) => { if (state[name] !== "") told.set(name, name === "method" ? methods[state.method].name : state[name]); });
    if (state.sort) told.set("sort", `${state.down ? "-" : ""}${state.sort}`);
    if (state.query !== null) told.set("query", state.query);
    const hash = told.toString();
    const address = hash ? `#${hash}` : location.pathname + location.search;
    if (hash || location.hash.includes("=")) history[anew ? "pushState" : "replaceState"](null, "", address);
  };
  const readAddress = () => {
    if (!location.hash.includes("=")) return false;
    const told = new URLSearchParams(location.hash.slice(1));
    FILTERS.forEach((name) => { state[name] = told.get(name) ?? ""; });
    const method = methods.findIndex((one) => one.name === state.method);
    state.method = method < 0 ? "" : String(method);
    FILTERS.forEach((name) => { const field = form.elements[name]; if (field) { field.value = state[name]; state[name] = field.value; } });
    const sort = told.get("sort") ?? "";
    state.down = sort.startsWith("-");
    state.sort = sortable[sort.replace(/^-/, "")] ? sort.replace(/^-/, "") : "";
    const id = told.get("query");
    state.query = id !== null && records.query.includes(Number(id)) ? Number(id) : null;
    return true;
  };

  // ---- What is pressed ------------------------------------------------------------------------------------
  const filtered = () => {
    FILTERS.forEach((name) => { state[name] = form.elements[name] ? form.elements[name].value : ""; });
    state.page = 0;
    refresh();
    if (state.query !== null) show();
    write();
  };
  form.addEventListener("input", filtered);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filtered));

  byId("rows").addEventListener("click", (event) => {
    const link = event.target.closest("a[data-query]"), button = event.target.closest("button[data-sort]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      opener = Number(link.dataset.query);
      openQuery(opener, true, state.query === null);  // "back" leads to the list again
    }
    if (button) {
      const key = button.dataset.sort, best = sortable[key].higher === true;
      state.down = state.sort === key ? !state.down : best;
      state.sort = key;
      state.page = 0;
      refresh();
      write();
      document.querySelector(`#rows button[data-sort="${CSS.escape(key)}"]`).focus();
    }
  });
  const turn = (step) => { state.page += step; draw(); byId("rows").scrollIntoView({ block: "start", behavior: "instant" }); };
  byId("back").addEventListener("click", () => turn(-1));
  byId("forth").addEventListener("click", () => turn(1));
  const step = (by) => { const place = neighbour(by); if (place !== undefined) openQuery(records.query[place], false); };
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", closeQuery);
  byId("query").addEventListener("keydown", (event) => { if (event.key === "Escape") closeQuery(); });
  byId("link").addEventListener("click", async () => {
    const address = `${location.href.split("#")[0]}#query=${state.query}`;
    try {
      await navigator.clipboard.writeText(address);
      byId("link").textContent = "Copied";
    } catch {
      location.hash = `query=${state.query}`;  // it can be copied from there
    }
  });
  byId("look").addEventListener("change", () => {
    byId("wiping").hidden = look() !== "wipe";
    byId("query").style.setProperty("--across", look() === "triple" ? 3 : 1);
    redraws.forEach((redraw) => redraw());
  });
  byId("zoom").addEventListener("input", () => byId("query").style.setProperty("--zoom", byId("zoom").value));
  byId("wipe").addEventListener("input", () => byId("query").style.setProperty("--wipe", byId("wipe").value));

  byId("columns").append(...measured.map((about) => {
    const box = make("input", { type: "checkbox", checked: about.shown });
    box.addEventListener("change", () => { about.shown = box.checked; means(); draw(); });
    return make("label", {}, box, about.label);
  }));

  const follow = () => {
    if (!readAddress()) {
      state.query = null;
      show();
      return;
    }
    state.page = 0;
    refresh();
    openQuery(state.query);
  };
  addEventListener("hashchange", follow);
  const addressed = readAddress();
  refresh();
  if (state.query !== null) openQuery(state.query);
  else if (addressed) byId("queries").scrollIntoView({ block: "start", behavior: "instant" });
})();
