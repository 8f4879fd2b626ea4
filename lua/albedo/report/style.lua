-- The look of a report: ink on paper, light and dark and printed, figures and tables numbered.
-- Texts keep a contrast of at least 4.5 to what lies behind them, lines of curves one of 3.

local LIGHT = [[
  --ink: #1a1c20; --soft: #565a63; --paper: #ffffff; --panel: #f6f7f9; --line: #d5d8de;
  --grid: #e6e8ec; --good: #126a37; --bad: #a3201f;
  --s1: #0a62ad; --s2: #c04a00; --s3: #007f5c; --s4: #a33c86; --s5: #806300; --s6: #5a55c9;
  --s7: #4d5661; --s8: #b3262e;]]
local DARK = [[
  --ink: #e8e9ed; --soft: #a9adb8; --paper: #15171b; --panel: #1e2127; --line: #3a3f48;
  --grid: #2a2e36; --good: #62d191; --bad: #ff8d84;
  --s1: #62b0f4; --s2: #ff9a55; --s3: #45cfa6; --s4: #ee97cb; --s5: #e0bf4e; --s6: #aaa6ff;
  --s7: #b3bcc8; --s8: #ff8f8f;]]

-- What drawn figures need, also in a file of their own.
local FIGURE = [[
svg text { font: 13px system-ui, sans-serif; fill: var(--soft); }
svg .name { fill: var(--ink); }
svg .title { fill: var(--ink); font-weight: 600; font-size: 14px; }
svg .grid { stroke: var(--grid); } svg .axis { stroke: var(--soft); fill: none; }
svg .curve { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg .band { stroke: none; fill-opacity: .16; } svg .bar { stroke: none; }
svg .whisker { stroke: var(--ink); stroke-width: 1.4; fill: none; }
svg .chance { stroke: var(--soft); stroke-dasharray: 5 5; fill: none; stroke-width: 1.3; }
svg .cell { fill: var(--l); } svg text.on { fill: var(--lt); }
]]
for k = 1, 8 do
  FIGURE = FIGURE .. ("svg .c%d { stroke: var(--s%d); } svg .f%d { fill: var(--s%d); }\n")
    :format(k, k, k, k)
end
FIGURE = FIGURE .. "svg .p1 { fill-opacity: .4; stroke-width: 1.5; }\n"
  .. "svg .p2 { fill-opacity: 0; stroke-width: 1.5; }\n"
local FIGURE_DARK = "svg .cell { fill: var(--d); } svg text.on { fill: var(--dt); }"

local PAGE = [[
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 3rem 1.5rem 4rem; max-width: 60rem; background: var(--paper);
  color: var(--ink); font: 16px/1.6 system-ui, sans-serif; counter-reset: figure table;
  -webkit-text-size-adjust: 100%; }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -.015em; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 2.8rem 0 .8rem; padding-top: 1.1rem;
  border-top: 1px solid var(--line); }
p { max-width: 46rem; margin: .7rem 0; }
h1, h2, p, figcaption, caption, .keys { overflow-wrap: anywhere; }
.lead { color: var(--soft); font-size: 1.1rem; margin: 0 0 1.5rem; }
.note, figcaption, caption, footer { color: var(--soft); font-size: .875rem; line-height: 1.5; }
.scroll { overflow-x: auto; margin: 1.2rem 0; }
table { border-collapse: collapse; font-size: .9375rem; }
caption { text-align: left; padding-bottom: .5rem; max-width: 46rem; min-width: 20rem; }
caption::before { counter-increment: table; content: "Table " counter(table) ". ";
  color: var(--ink); font-weight: 600; }
main > figure > figcaption::before { counter-increment: figure;
  content: "Figure " counter(figure) ". "; color: var(--ink); font-weight: 600; }
th, td { padding: .4rem 1.1rem .4rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
thead > tr > * { font-weight: 600; border-bottom: 1.5px solid var(--ink);
  vertical-align: bottom; }
thead > tr:first-child > * { border-top: 1.5px solid var(--ink); }
tbody tr:last-child > * { border-bottom: 1.5px solid var(--ink); }
tbody th { font-weight: 500; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; padding: .4rem 0 .4rem 1.4rem; }
thead th.number { white-space: normal; }
td.number + td:not(.number), th.number + th:not(.number) { padding-left: 1.6rem; }
.word { white-space: nowrap; }
.between { color: var(--soft); font-size: .86em; padding-left: .35em; }
.claim .between { display: block; }
figure { margin: 1.6rem 0; }
figcaption { margin-top: .6rem; max-width: 46rem; }
svg { display: block; max-width: 100%; height: auto; }
img { display: block; max-width: 100%; height: auto; background: #fff;
  border: 1px solid var(--line); border-radius: 2px; }
img.pixels { image-rendering: pixelated; }
figure > img.pixels { min-width: 50%; }
.credit { display: block; }
.tiles { display: grid; gap: .9rem .7rem; grid-template-columns: repeat(var(--n), 1fr);
  max-width: calc(var(--n) * 13rem); }
.tiles figure { margin: 0; } .tiles img { width: 100%; }
.tiles figcaption { margin-top: .25rem; font-size: .8125rem; overflow-wrap: anywhere; }
.tiles.one { max-width: 30rem; }
.keys { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: .6rem 0 0; padding: 0;
  list-style: none; font-size: .875rem; color: var(--soft); }
.keys span { display: inline-block; width: .85em; height: .85em; margin-right: .45em;
  border: 1px solid var(--soft); border-radius: 2px; vertical-align: -.08em; }
table.confusion { border-spacing: 2px; border-collapse: separate; }
table.confusion * { border: 0 !important; }
table.confusion td { background: var(--l); color: var(--lt); text-align: center;
  min-width: 4.2rem; padding: .45rem .6rem; font-variant-numeric: tabular-nums; }
table.confusion td small { display: block; font-size: .8em; color: inherit; }
table.confusion th { color: var(--soft); font-weight: 500; padding: .35rem .7rem;
  white-space: nowrap; }
table.confusion th span { display: inline-block; max-inline-size: 11em; overflow: hidden;
  text-overflow: ellipsis; vertical-align: bottom; }
table.confusion tbody th { text-align: right; vertical-align: middle; }
table.confusion thead th { text-align: center; }
.verdict { font-weight: 600; white-space: nowrap; }
.holds { color: var(--good); } .fails { color: var(--bad); }
pre { background: var(--panel); padding: .8rem 1rem; overflow-x: auto; font-size: .85rem;
  border-radius: 4px; }
footer { margin-top: 3rem; }
]]
local PAGE_DARK = [[
table.confusion td { background: var(--d); color: var(--dt); }
img { border-color: var(--line); }
]]
local PRINT = [[
@page { margin: 18mm 16mm; }
body { max-width: none; padding: 0; font-size: 10pt; }
h1 { font-size: 18pt; } h2 { font-size: 12.5pt; break-after: avoid; }
figure, tr, .claim, .confusion { break-inside: avoid; }
h2, h3, caption { break-after: avoid; } .scroll { overflow: visible; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; overflow: visible; }
table { font-size: 8.5pt; }
.word, .verdict { white-space: normal; } .long { overflow-wrap: anywhere; }
table.wide { font-size: max(4pt, min(8.5pt, 80pt / var(--n))); width: 100%; }
table.wide th, table.wide td { padding: .3em .4em .3em 0; min-width: 0; white-space: normal; }
table.wide .number { padding-left: .8em; }
table.wide .between { display: block; padding: 0; }
table.wide.confusion { font-size: max(4pt, min(8.5pt, 160pt / var(--n))); }
table.wide.confusion th, table.wide.confusion td { padding: .2em; white-space: nowrap; }
table.wide.confusion thead tr:last-child th { writing-mode: vertical-rl; text-align: left; }
caption, figcaption, .note { font-size: 8.5pt; }
table:not(.wide) :is(th, td) { padding-right: .7rem; }
table:not(.wide) .number { padding-left: .8rem; }
* { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
]]

local function block(media, ...)
  return ("@media %s {\n%s\n}\n"):format(media, table.concat({ ... }, "\n"))
end

return {
  --- Of a page.
  page = ":root { color-scheme: light dark;\n" .. LIGHT .. " }\n" .. FIGURE .. PAGE
    .. block("screen and (prefers-color-scheme: dark)", ":root {" .. DARK .. " }", FIGURE_DARK,
      PAGE_DARK)
    .. block("print", PRINT),
  --- Of a drawn figure in a file of its own.
  figure = "svg {\n" .. LIGHT .. " background: var(--paper); }\n" .. FIGURE
    .. block("(prefers-color-scheme: dark)", "svg {" .. DARK .. " }", FIGURE_DARK),
}
