-- What all pages of the manual share: the frame, the style, the search, Lua in colours.
local page = {}

local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }
function page.escape(s) return (tostring(s):gsub('[&<>"]', ESCAPES)) end
local escape = page.escape

local keywords = {}
for word in ("and break do else elseif end false for function goto if in local nil not or "
  .. "repeat return then true until while"):gmatch "%a+" do
  keywords[word] = true
end

-- Tokens in their order: pattern, class. What matches none is a letter by itself.
local RULES = {
  { "^%-%-%[%[.-%]%]", "c" }, { "^%-%-[^\n]*", "c" }, { '^"[^"\n]*"', "s" },
  { "^'[^'\n]*'", "s" }, { "^%[%[.-%]%]", "s" }, { "^0x%x+", "n" }, { "^%d[%w.]*", "n" },
  { "^[%a_][%w_]*", "w" }, { "^%s+" },
}

--- Lua source as HTML, in colours.
function page.lua(source)
  local out, at = {}, 1
  while at <= #source do
    local token, class
    for _, rule in ipairs(RULES) do
      token = source:match(rule[1], at)
      if token then class = rule[2] break end
    end
    token = token or source:sub(at, at)
    if class == "w" then class = keywords[token] and "k" or nil end
    out[#out + 1] = class and ('<span class="%s">%s</span>'):format(class, escape(token))
      or escape(token)
    at = at + #token
  end
  return table.concat(out)
end

page.css = [[
:root{--bg:#fff;--fg:#1f2430;--soft:#5b6372;--line:#e3e6ec;--side:#f6f7f9;--code:#f5f6f8;
--link:#0b5cad;--mark:#fff3c4;--k:#8a3ea8;--s:#2e6b2e;--c:#667085;--n:#9a4a00}
@media(prefers-color-scheme:dark){:root{--bg:#15181e;--fg:#e3e6ec;--soft:#9aa3b2;--line:#2c323d;
--side:#1a1e25;--code:#1f242d;--link:#7ab8ff;--mark:#4d4216;--k:#d7a1ee;--s:#9bd39b;--c:#8d97a8;
--n:#f0b27a}}
*{box-sizing:border-box}html{scroll-padding-top:1rem}
body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.6 system-ui,"Segoe UI",
"DejaVu Sans",
sans-serif;display:grid;grid-template-columns:17rem minmax(0,1fr)}
a{color:var(--link);text-decoration:none}a:hover,a:focus{text-decoration:underline}
nav{background:var(--side);border-right:1px solid var(--line);padding:1.2rem 1.1rem;
height:100vh;
position:sticky;top:0;overflow-y:auto;font-size:.92rem}
nav .brand{font-weight:700;font-size:1.25rem;color:var(--fg);display:block;margin-bottom:.8rem}
nav h2{font-size:.74rem;letter-spacing:.07em;text-transform:uppercase;color:var(--soft);
margin:1.3rem 0 .35rem;border:0;padding:0}
nav ul{list-style:none;margin:0;padding:0}nav li a{display:block;padding:.13rem .5rem;
border-radius:5px;color:var(--fg)}nav li a:hover{background:var(--line);text-decoration:none}
nav li a[aria-current]{background:var(--link);color:var(--bg)}
#q{width:100%;padding:.5rem .65rem;border:1px solid var(--soft);border-radius:7px;font:inherit;
background:var(--bg);color:var(--fg)}#q:focus{outline:2px solid var(--link);outline-offset:1px}
#hits{list-style:none;padding:0;margin:.4rem 0 0}#hits li a{padding:.3rem .5rem}
#hits b{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-weight:600;font-size:.86rem}
#hits small{display:block;color:var(--soft);line-height:1.3}
main{padding:2rem clamp(1.2rem,5vw,4rem) 5rem;max-width:64rem;width:100%}
h1{font-size:2rem;line-height:1.2;margin:.2rem 0 1rem}h2{font-size:1.35rem;
margin:2.4rem 0 .8rem;
padding-bottom:.3rem;border-bottom:1px solid var(--line)}h3{font-size:1.08rem;
margin:1.8rem 0 .5rem}
pre,code{font-family:ui-monospace,"DejaVu Sans Mono",Menlo,monospace;font-size:.86em}
code{background:var(--code);padding:.08em .3em;border-radius:4px}
pre{background:var(--code);border:1px solid var(--line);border-radius:8px;padding:.8rem 1rem;
overflow-x:auto;line-height:1.5}pre code{background:none;padding:0;font-size:1em}
.k{color:var(--k)}.s{color:var(--s)}.c{color:var(--c)}.n{color:var(--n)}
table{border-collapse:collapse;display:block;overflow-x:auto;font-size:.93rem;margin:1rem 0}
th,td{text-align:left;padding:.42rem .8rem;border-bottom:1px solid var(--line);
vertical-align:top}
th{color:var(--soft);font-weight:600}
.entry{border-top:1px solid var(--line);padding:1rem 0 .2rem}
.entry h3{margin:0;font:600 1rem/1.5 ui-monospace,"DejaVu Sans Mono",monospace;
overflow-wrap:anywhere}.entry h3 .args{font-weight:400;color:var(--soft)}
.entry:target{background:linear-gradient(90deg,var(--mark),transparent)}
.entry p{margin:.45rem 0}.entry p.facts{font-size:.85rem;color:var(--soft)}
.index{columns:17rem auto;font-size:.92rem;padding:0;list-style:none}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(14rem,1fr));gap:.9rem;
padding:0;
list-style:none}.cards li{border:1px solid var(--line);border-radius:9px;padding:.8rem 1rem}
.cards small{display:block;color:var(--soft)}img{max-width:100%;height:auto;border-radius:6px}
figure{margin:1.4rem 0}figcaption{color:var(--soft);font-size:.9rem}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:1rem;background:var(--bg);
z-index:9}
@media(max-width:52rem){body{display:block}nav{position:static;height:auto;border-right:0;
border-bottom:1px solid var(--line)}nav .pages{display:none}
nav:focus-within .pages{display:block}}
.index li{overflow-wrap:anywhere;break-inside:avoid}
@media print{nav,.skip{display:none}body{display:block}h1,h2,h3{break-after:avoid}
pre{white-space:pre-wrap;overflow-wrap:anywhere}table{display:table}
td code,th code{white-space:normal;overflow-wrap:anywhere}
pre,tr,figure,.entry{break-inside:avoid}}
]]

-- Names that begin with what is typed come first, then those that hold it, then texts.
page.js = [[
(function(){
var q=document.getElementById('q'),hits=document.getElementById('hits'),
pages=document.querySelector('.pages');
function rank(e,t){var n=e[0].toLowerCase(),last=n.slice(n.lastIndexOf('.')+1);
if(n===t||last===t)return 0;if(last.indexOf(t)===0||n.indexOf(t)===0)return 1;
if(n.indexOf(t)>=0)return 2;
var text=(e[0]+' '+e[2]).toLowerCase();
return t.length>2&&t.split(/\s+/).every(function(w){return text.indexOf(w)>=0})?3:9}
function find(){var t=q.value.trim().toLowerCase().replace(/^al\./,'');
hits.textContent='';pages.hidden=!!t;if(!t)return;
var list=INDEX.map(function(e){return[rank(e,t),e]}).filter(function(p){return p[0]<9});
list.sort(function(a,b){return a[0]-b[0]||a[1][0].length-b[1][0].length||
(a[1][0]<b[1][0]?-1:1)});
if(!list.length){var li=document.createElement('li');li.textContent='nothing holds it';
hits.appendChild(li)}
list.slice(0,40).forEach(function(p){var li=document.createElement('li'),
a=document.createElement('a'),b=document.createElement('b'),s=document.createElement('small');
a.href=p[1][1];b.textContent=p[1][0];s.textContent=p[1][2];a.appendChild(b);a.appendChild(s);
li.appendChild(a);hits.appendChild(li)})}
q.addEventListener('input',find);
q.addEventListener('keydown',function(e){if(e.key==='Enter'){var a=hits.querySelector('a');
if(a)location.href=a.href}if(e.key==='Escape'){q.value='';find()}});
document.addEventListener('keydown',function(e){if(e.key==='/'&&document.activeElement!==q){
e.preventDefault();q.focus()}});
var h=new URLSearchParams(location.search).get('q');if(h){q.value=h;find()}
})();
]]

--- A whole page. pages: groups { title, { { file, title }, ... } } of the side; body is HTML.
function page.html(o)
  local side = {}
  for _, group in ipairs(o.pages) do
    side[#side + 1] = ("<h2>%s</h2><ul>"):format(escape(group.title))
    for _, p in ipairs(group) do
      side[#side + 1] = ('<li><a href="%s.html"%s>%s</a></li>'):format(p.file,
        p.file == o.file and ' aria-current="page"' or "", escape(p.title))
    end
    side[#side + 1] = "</ul>"
  end
  return ([[<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>%s</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,"><link rel="stylesheet" href="style.css"></head><body>
<a class="skip" href="#main">To the text</a>
<nav aria-label="Manual"><a class="brand" href="index.html">Albedo</a>
<label for="q">Search (or press /)</label><input id="q" type="search"
autocomplete="off"><ul id="hits" aria-live="polite"></ul><div class="pages">%s</div></nav>
<main id="main">
%s
</main><script src="names.js"></script><script src="search.js"></script></body></html>
]]):format(escape(o.title == "Albedo" and o.title or o.title .. " · Albedo"),
    table.concat(side, "\n"), o.body)
end

return page
