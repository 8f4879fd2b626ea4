-- The manual: static pages from the registry, the comments in the source, the examples and the
-- pages in Markdown beside this file. `make docs`, or require "albedo.manual".build(folder).
local al = require "albedo"
local catalog = require "albedo.catalog"
local help = require "albedo.help"
local page = require "albedo.manual.page"

local escape = page.escape
local manual = {}

local here = debug.getinfo(1, "S").source:match "^@(.*)init%.lua$"
local root = here:gsub("lua/albedo/manual/$", "")
if not io.open(root .. "README.md") then root = "" end -- a variant under build/: from the clone

--- The pages in Markdown, in their order.
manual.guides = {
  { file = "first", title = "A first hour" }, { file = "pytorch", title = "From PyTorch" },
  { file = "torch7", title = "From Torch7" }, { file = "memory", title = "Memory" },
  { file = "op", title = "Writing an op" },
}

-- Areas of ops: title, what they are, the kernel's files.
local AREAS = {
  { "elementwise", "Arithmetic and functions", "An element in, one out; shapes broadcast.",
    "elementwise special where" },
  { "reduce", "Sums, ranks and order", "Over some dims or all; sorting, counting, scanning.",
    "reduce scan rank sort mask" },
  { "shape", "Shapes, slices and joins", "Views where the memory allows, copies where not.",
    "view slice join index arrange cast fold" },
  { "create", "Making tensors, random numbers", "The same seed gives the same bits.",
    "create random distribution" },
  { "linalg", "Linear algebra", "Products, decompositions, distances.",
    "linear linalg matrices decompose einsum cdist sparse" },
  { "layers", "Layers as functions", "Convolution, pooling, norms, attention, recurrence.",
    "conv pool norm softmax attention recurrent resample" },
  { "losses", "Losses and similarities", "reduction: mean, sum or none.", "loss margin" },
  { "signals", "Pictures and signals", "Filters, morphology, Fourier and Radon transforms.",
    "filter morphology threshold affine radon fourier resize match" },
}

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

-- ---- text
-- ------------------------------------------------------------------------------------

-- A comment as HTML: lines set in by two or more are code, the rest paragraphs; al.NAME links.
local function prose(text, links)
  local out, paragraph, code = {}, {}, {}
  local function flush()
    if #paragraph > 0 then
      local html = escape(table.concat(paragraph, " ")):gsub("%f[%w]al%.([%w_.]*[%w_])",
        function(name)
          local url = links[name]
          return url and ('<a href="%s"><code>al.%s</code></a>'):format(url, name)
        end)
      out[#out + 1] = "<p>" .. html:gsub("`([^`<]+)`", "<code>%1</code>") .. "</p>"
      paragraph = {}
    end
    if #code > 0 then
      out[#out + 1] = "<pre><code>" .. page.lua(table.concat(code, "\n")) .. "</code></pre>"
      code = {}
    end
  end
  for line in (text .. "\n"):gmatch "(.-)\n" do
    local set_in = line:match "^  +(.*)$"
    if set_in then
      if #code == 0 then flush() end
      code[#code + 1] = line:sub(3)
    elseif line:find "^%s*$" then
      flush()
    else
      if #code > 0 then flush() end
      paragraph[#paragraph + 1] = line
    end
  end
  flush()
  return table.concat(out, "\n")
end

-- Markdown through cmark-gfm; Lua in its blocks in colours. Fences may say more ("lua spec").
local function markdown(text)
  local input = os.tmpname()
  write(input, text)
  local pipe = io.popen("cmark-gfm -e table -e autolink --unsafe '" .. input .. "'")
  local html = pipe:read "*a"
  local ok = pipe:close()
  os.remove(input)
  if not ok or html == "" then error("the manual needs cmark-gfm (apt: cmark-gfm)", 0) end
  html = html:gsub('<pre><code class="language%-lua[^"]*">(.-)</code></pre>', function(code)
    code = code:gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&quot;", '"'):gsub("&amp;", "&")
    return "<pre><code>" .. page.lua(code) .. "</code></pre>"
  end)
  return (html:gsub("<h([23])>(.-)</h%1>", function(level, title)
    local id = title:gsub("<.->", ""):lower():gsub("[^%w]+", "-")
    id = id:gsub("^%-", ""):gsub("%-$", "")
    return ('<h%s id="%s">%s</h%s>'):format(level, id, title, level)
  end))
end

-- ---- entries
-- ---------------------------------------------------------------------------------

local function place(path)
  local file, line = catalog.source(path)
  return file and ("<code>%s:%d</code>"):format(file, line or 1)
end

-- "name(args)" as a heading, the arguments softer.
local function heading(call)
  local name, args = call:match "^([^(]*)(.*)$"
  return ('<h3>%s<span class="args">%s</span></h3>'):format(escape(name), escape(args))
end

local function op_entry(entry, links)
  local op, facts = entry.op, {}
  local call, shapes = help.example(op.name, op)
  local out = { ('<section class="entry" id="%s">'):format(op.name),
    heading("al." .. help.usage(op.name, op)), prose(op.doc, links) }
  if call then
    out[#out + 1] = "<pre><code>" .. page.lua(call .. "  --> " .. shapes) .. "</code></pre>"
  end
  if op.params[1] and op.params[1].kind == "tensor" then
    facts[#facts + 1] = ("method <code>%s:%s</code>"):format(op.params[1].name, op.name)
  end
  if op.inplace then facts[#facts + 1] = ("in place <code>%s_</code>"):format(op.name) end
  if (op.alias or ""):find "%S" then
    facts[#facts + 1] = "also <code>" .. escape(op.alias) .. "</code>"
  end
  if not op.differentiable then facts[#facts + 1] = "not differentiable" end
  facts[#facts + 1] = "<code>" .. escape(op.signature) .. "</code>"
  facts[#facts + 1] = place(op.name)
  out[#out + 1] = '<p class="facts">' .. table.concat(facts, " · ") .. "</p></section>"
  return table.concat(out, "\n")
end

-- The text of a function, its own call (when the comment begins with it) taken off as heading.
local function function_entry(entry, links, prefix)
  local text = catalog.comment(entry.path) or ""
  local last = entry.path:match "[%w_]+$"
  local own, rest = text:match("^[%w_.:]*" .. last .. " ?(%b())(.*)$")
  local call
  if own then
    call = entry.path .. own
    if rest:find "^:" then text = rest:gsub("^:%s*", "") end
  else
    local args = catalog.arguments(entry.value) or {}
    call = entry.kind == "field" and entry.path
      or ("%s(%s)"):format(entry.path, table.concat(args, ", "))
  end
  return table.concat({ ('<section class="entry" id="%s">'):format(entry.path),
    heading(prefix .. call), prose(text, links),
    place(entry.path) and '<p class="facts">' .. place(entry.path) .. "</p>" or "",
    "</section>" }, "\n")
end

local function index_list(entries, prefix)
  local out = { '<ul class="index">' }
  for _, e in ipairs(entries) do
    out[#out + 1] = ('<li><a href="#%s">%s%s</a></li>'):format(e.path, prefix, escape(e.path))
  end
  return table.concat(out, "\n") .. "</ul>"
end

-- ---- pages
-- -----------------------------------------------------------------------------------

local TITLES = {
  nn = "nn: layers", optim = "optim: optimizers", data = "data: datasets, loaders",
  models = "models: networks", metrics = "metrics: scores", image = "image: pictures",
  io = "io: files", plot = "plot: figures", report = "report: pages", lab = "lab: experiments",
  cli = "cli: options", progress = "progress: bars", json = "json", sim = "sim: made data",
  classical = "classical: baselines", pooled = "pooled: scores of seeds",
}

-- Which page holds what: groups of pages, each { file, title, entries, ... }.
local function plan()
  local areas, of_file, rest = { title = "Ops" }, {}, {}
  for _, a in ipairs(AREAS) do
    local p = { file = "ops-" .. a[1], title = a[2], lead = a[3], entries = {}, prefix = "al." }
    areas[#areas + 1] = p
    for file in a[4]:gmatch "%S+" do of_file[file] = p end
  end
  local parts, core = { title = "Parts" },
    { file = "core", title = "al: functions", entries = {}, prefix = "al.",
      lead = "Gradients, memory, files, help: what is neither an op nor in a part." }
  local tensor = { file = "tensor", title = "Tensors: methods, fields", entries = {},
    prefix = "t:", lead = "What tensors have beside ops; every op whose first argument is a "
      .. "tensor is a method." }
  local page_of = {}
  for _, part in ipairs(catalog.parts) do
    local p = { file = part, title = TITLES[part] or part, entries = {}, part = part,
      prefix = "al." }
    parts[#parts + 1], page_of[part] = p, p
  end
  for _, entry in ipairs(catalog.names()) do
    local p
    if entry.kind == "op" then
      local file = (catalog.source(entry.path) or ""):match "([%w_]+)%.%w+$"
      p = of_file[file]
      if not p then rest[#rest + 1] = entry end
    elseif entry.part then p = page_of[entry.part]
    elseif entry.kind == "function" then p = core
    else p = tensor end
    if p then table.insert(p.entries, entry) end
  end
  if #rest > 0 then
    areas[#areas + 1] = { file = "ops-more", title = "More ops", lead = "", entries = rest,
      prefix = "al." }
  end
  local guides = { title = "Guide", { file = "index", title = "Albedo" } }
  for _, g in ipairs(manual.guides) do guides[#guides + 1] = g end
  guides[#guides + 1] = { file = "examples", title = "Examples" }
  guides[#guides + 1] = { file = "figures", title = "Figures" }
  table.insert(parts, 1, core)
  table.insert(parts, 2, tensor)
  return { guides, parts, areas }
end

local function reference(p, links)
  local out = { ("<h1>%s</h1>"):format(escape(p.title)) }
  if p.lead then out[#out + 1] = "<p>" .. escape(p.lead) .. "</p>" end
  if p.part then out[#out + 1] = prose(catalog.header(p.part) or "", links) end
  if #p.entries > 1 then out[#out + 1] = index_list(p.entries, p.prefix) end
  for _, entry in ipairs(p.entries) do
    local prefix = entry.kind == "field" and "t." or p.prefix
    out[#out + 1] = entry.op and op_entry(entry, links) or function_entry(entry, links, prefix)
  end
  local objects = {}
  for _, file in ipairs(p.part and catalog.part_files(p.part) or {}) do
    for _, m in ipairs(catalog.object_methods(file)) do
      objects[#objects + 1] = ('<section class="entry" id="%s">'):format(m.path)
        .. heading(m.path .. m.args)
        .. prose(m.text, links)
        .. ('<p class="facts"><code>lua/albedo/%s:%d</code></p></section>'):format(file, m.line)
    end
  end
  if #objects > 0 then
    out[#out + 1] = "<h2>Methods of its objects</h2>\n" .. table.concat(objects, "\n")
  end
  return table.concat(out, "\n")
end

local function examples()
  local out = { "<h1>Examples</h1>", "<p>A page each; run one with "
    .. "<code>lua5.4 examples/01_tensors.lua</code>. All run as specs.</p>" }
  local pipe = io.popen(("cd '%s' && ls examples/*.lua"):format(root == "" and "." or root))
  for path in pipe:lines() do
    local source = read(root .. path)
    local name = path:match "([%w_]+)%.lua$"
    out[#out + 1] = ('<h2 id="%s">%s</h2>\n<pre><code>%s</code></pre>')
      :format(name, name:gsub("_", " "), page.lua(source))
  end
  pipe:close()
  return table.concat(out, "\n")
end

local function index(groups)
  local html = markdown(read(root .. "README.md"))
  html = html:gsub('href="examples/([%w_]+)%.lua"', 'href="examples.html#%1"')
    :gsub('href="examples"', 'href="examples.html"')
    :gsub('href="lua/albedo/manual/([%w_]+)%.md"', 'href="%1.html"')
  local cards = { '<ul class="cards">' }
  for _, group in ipairs(groups) do
    for _, p in ipairs(group) do
      if p.file ~= "index" then
        local about = group.title .. (p.entries and (", %d names"):format(#p.entries) or "")
        cards[#cards + 1] = ('<li><a href="%s.html">%s</a><small>%s</small></li>')
          :format(p.file, escape(p.title), escape(about))
      end
    end
  end
  return html .. "\n<h2>All pages</h2>\n" .. table.concat(cards, "\n") .. "</ul>"
end

-- name -> address, for links within texts and the search.
local function addresses(groups)
  local links, rows = {}, {}
  local function add(name, url, text)
    links[name] = links[name] or url
    rows[#rows + 1] = { name, url, text }
  end
  for _, group in ipairs(groups) do
    for _, p in ipairs(group) do
      add(p.title, p.file .. ".html", group.title)
      if p.part then links[p.part] = p.file .. ".html" end
      for _, m in ipairs(p.part and catalog.methods() or {}) do
        if m.part == p.part then
          add(m.path, ("%s.html#%s"):format(p.file, m.path), help.summary(m))
        end
      end
      for _, e in ipairs(p.entries or {}) do
        local url = ("%s.html#%s"):format(p.file, e.path)
        add(e.path, url, help.summary(e))
        for alias in (e.op and e.op.alias or ""):gmatch "%S+" do
          add(alias, url, help.summary(e))
        end
      end
    end
  end
  return links, rows
end

--- Writes the manual into a folder, and the annotations for editors into its luacats/; returns
--- how many pages and names it has. Raises when a public name has no documentation, naming all
--- that have none.
function manual.build(folder)
  local silent = {}
  for _, entry in ipairs(catalog.names()) do
    local text = entry.op and entry.op.doc or catalog.comment(entry.path) or ""
    if not text:find "%w" then silent[#silent + 1] = entry.path end
  end
  if #silent > 0 then error("without documentation: " .. table.concat(silent, " "), 0) end
  os.execute(("mkdir -p '%s/img'"):format(folder))
  local groups = plan()
  local links, rows = addresses(groups)
  local pages = 0
  for _, group in ipairs(groups) do
    for _, p in ipairs(group) do
      local body
      if p.entries then body = reference(p, links)
      elseif p.file == "index" then body = index(groups)
      elseif p.file == "examples" then body = examples()
      elseif p.file == "figures" then body = require "albedo.manual.figures"(folder, page.lua)
      else body = markdown(read(here .. p.file .. ".md")) end
      write(("%s/%s.html"):format(folder, p.file),
        page.html { title = p.title, file = p.file, pages = groups, body = body })
      pages = pages + 1
    end
  end
  os.execute(("mkdir -p '%s/luacats/library'"):format(folder))
  write(folder .. "/luacats/library/albedo.lua", require "albedo.manual.annotations"())
  write(folder .. "/style.css", page.css)
  write(folder .. "/search.js", page.js)
  write(folder .. "/names.js", "var INDEX=" .. al.json.encode(rows) .. ";\n")
  return pages, #rows
end

return manual
