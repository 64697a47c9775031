// What cannot be read on a page: text with less contrast than WCAG AA asks, and controls and pictures without a name.
(() => {
  const level = (c) => { const s = c / 255; return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; };
  const parse = (text) => text.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * level(r) + 0.7152 * level(g) + 0.0722 * level(b);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(at).backgroundColor);
      if (a > 0.99) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest("svg, script, :disabled")) continue;
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    const [a, b] = [light(parse(style.color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = size >= 24 || (size >= 18.7 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) faint.push(`${ratio.toFixed(2)} ${element.tagName}.${element.className}: ${text}`);
  }
  const named = (one) => one.getAttribute("aria-label") || one.alt || one.getAttribute("aria-labelledby")
    || (one.labels && one.labels.length) || one.textContent.trim();
  const nameless = [...document.querySelectorAll(".px, img, svg, input, select, button, a, meter, [tabindex]")]
    .filter((one) => one.checkVisibility() && !one.closest("[role=img] *, [aria-hidden=true]") && !named(one))
    .map((one) => one.outerHTML.slice(0, 120));
  return { faint, nameless };
})()
