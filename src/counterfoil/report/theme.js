// Light, dark, or as the system has it; the choice is kept for the next page.
(() => {
  "use strict";
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);

  const themes = ["auto", "light", "dark"];
  const setTheme = (theme) => {
    if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
    byId("theme-name").textContent = theme;
  };
  const stored = () => { try { return localStorage.getItem("counterfoil-theme"); } catch { return null; } };
  setTheme(themes.includes(stored()) ? stored() : "auto");
  byId("theme").addEventListener("click", () => {
    const next = themes[(themes.indexOf(byId("theme-name").textContent) + 1) % themes.length];
    setTheme(next);
    try { localStorage.setItem("counterfoil-theme", next); } catch { /* a page without storage keeps the choice until it closes */ }
  });
})();
