// What a page must be, asked of it in a browser: spec/browser_spec.lua puts this into its head.
// The answer, a line a fault, stands in a pre element.
"use strict";
const faults = [];
const fault = (text) => faults.push(text);
window.addEventListener("error", (e) => fault("error: " + (e.message || e.target.tagName)), true);
for (const name of ["error", "warn"]) console[name] = (...a) => fault("console: " + a.join(" "));

const parse = (css) => {
  const m = css.match(/[\d.]+/g).map(Number);
  if (css.startsWith("color(srgb")) for (let k = 0; k < 3; k++) m[k] *= 255;
  return m.length < 4 ? [...m, 1] : m;
};
const luminance = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, w, k) => {
  const v = c[k] / 255;
  return sum + w * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
}, 0);
const contrast = (a, b) => {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
  return (x + 0.05) / (y + 0.05);
};
const behind = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c[3] === 1) return c;
  }
  return [255, 255, 255, 1];
};
// a text on a cell of a heat-map stands on the rectangle beneath its middle
const beneath = (text) => {
  const box = text.getBoundingClientRect();
  const x = box.x + box.width / 2, y = box.y + box.height / 2;
  for (const r of text.ownerSVGElement.querySelectorAll("rect.cell")) {
    const b = r.getBoundingClientRect();
    if (x >= b.left && x < b.right && y >= b.top && y < b.bottom) return parse(getComputedStyle(r).fill);
  }
  return behind(text);
};

function texts() {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text || e.closest("script, style, #answer")) continue;
    const style = getComputedStyle(e), size = parseFloat(style.fontSize);
    const large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
    const ratio = e instanceof SVGElement ? contrast(parse(style.fill), beneath(e))
      : contrast(parse(style.color), behind(e));
    if (ratio < (large ? 3 : 4.5)) fault(`contrast ${ratio.toFixed(2)} of "${text.slice(0, 30)}"`);
    if (size < 10.5) fault(`${size} px are small for "${text.slice(0, 30)}"`);
  }
}

function drawings() {
  for (const svg of document.querySelectorAll("svg")) {
    const box = svg.getBoundingClientRect(), name = svg.getAttribute("aria-label");
    if (svg.getAttribute("role") !== "img" || !name) fault("a drawing has no role or label");
    if (box.width < 60 || box.height < 60) fault(`${name}: ${box.width} x ${box.height}`);
    const paper = behind(svg.parentElement);
    let drawn = 0;
    for (const e of svg.querySelectorAll(".curve, .bar, .cell, .chance, circle")) {
      const b = e.getBBox();
      if (b.width + b.height > 0) drawn++;
      if (!(b.x >= -2 && b.y >= -2 && b.x + b.width <= svg.viewBox.baseVal.width + 2
        && b.y + b.height <= svg.viewBox.baseVal.height + 2)) fault(`${name}: drawn outside`);
      const style = getComputedStyle(e);
      const paint = e.matches(".curve, .chance") ? style.stroke : style.fill;
      if (!e.matches(".cell") && contrast(parse(paint), paper) < 3) fault(`${name}: faint`);
    }
    if (!drawn && !svg.textContent.includes("no data")) fault(`${name}: nothing is drawn`);
    for (const t of svg.querySelectorAll("text")) {
      const a = t.getBoundingClientRect();
      if (a.left < box.left - 2 || a.right > box.right + 2 || a.top < box.top - 2
        || a.bottom > box.bottom + 2) fault(`${name}: "${(t.firstChild || t).textContent}" is cut off`);
    }
  }
}

function pictures() {
  for (const img of document.images) {
    const box = img.getBoundingClientRect();
    if (!img.alt.trim()) fault("a picture has no alt text");
    if (!img.src.startsWith("data:")) fault("a picture comes from elsewhere");
    if (!img.naturalWidth || box.width < 20 || box.height < 20) { fault(`${img.alt}: not visible`); continue; }
    const c = document.createElement("canvas");
    c.width = c.height = 32;
    const g = c.getContext("2d");
    g.drawImage(img, 0, 0, 32, 32);
    const d = g.getImageData(0, 0, 32, 32).data;
    if (d.every((v, k) => k % 4 === 3 || v === d[k % 4])) fault(`${img.alt}: blank`);
  }
}

function structure() {
  const all = (s) => [...document.querySelectorAll(s)];
  if (!document.documentElement.lang) fault("no lang");
  if (!document.title.trim()) fault("no title");
  if (all("main").length !== 1 || all("h1").length !== 1) fault("not one main, one h1");
  let last = 0;
  for (const h of all("h1, h2, h3, h4")) {
    const level = Number(h.tagName[1]);
    if (level > last + 1) fault("a heading level is left out before " + h.textContent);
    if (!h.textContent.trim()) fault("an empty heading");
    last = level;
  }
  for (const t of all("table")) {
    if (!t.caption && !t.getAttribute("aria-label")) fault("a table has neither caption nor label");
    if (!t.querySelector("thead th")) fault("a table has no header");
  }
  for (const th of all("th")) {
    if (!th.scope) fault("a header without scope: " + th.textContent);
    if (!th.textContent.trim()) fault("an empty header");
  }
  const ids = all("[id]").map((e) => e.id);
  if (new Set(ids).size !== ids.length) fault("an id is given twice");
  for (const e of all("input, select, textarea, button, a")) {
    if (!(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length)) fault("no label: " + e.tagName);
  }
  for (const r of performance.getEntriesByType("resource")) {
    if (!r.name.startsWith("data:")) fault("loads " + r.name);
  }
  if (document.documentElement.scrollWidth > innerWidth) fault(`wider than ${innerWidth}`);
}

window.addEventListener("load", () => {
  const answer = document.createElement("pre");
  answer.id = "answer";
  for (const check of [structure, texts, drawings, pictures]) {
    try { check(); } catch (e) { fault(check.name + ": " + e); }
  }
  const scheme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const n = document.querySelectorAll("svg, img").length;
  answer.textContent = [`looked: ${scheme}, ${innerWidth} wide, ${n} figures`, ...new Set(faults), "end"].join("\n");
  document.body.append(answer);
});
