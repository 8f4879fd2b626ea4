-- The manual: every block of code in its pages runs, every Albedo name in its tables exists, and
-- it builds, with no page missing a link's end.
local al = require "albedo"
local catalog = require "albedo.catalog"
local manual = require "albedo.manual"

local lua = os.getenv "LUA" or "lua5.4"
local made = {}

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  made[#made + 1] = path
  return path
end

local function run(command)
  local pipe = io.popen(command .. " 2>&1; echo \" status $?\"")
  local out = pipe:read "*a"
  pipe:close()
  return out, out:find "status 0\n$" ~= nil
end

local function lines_of(file)
  local lines = {}
  for line in io.lines("lua/albedo/manual/" .. file .. ".md") do lines[#lines + 1] = line end
  return lines
end

-- The fenced blocks of a page: { kind = "lua spec", text }.
local function blocks(file)
  local list, body, kind = {}, nil, nil
  for _, line in ipairs(lines_of(file)) do
    local fence = line:match "^```(.*)$"
    if fence and not body then body, kind = {}, fence
    elseif fence then
      list[#list + 1] = { kind = kind, text = table.concat(body, "\n") .. "\n", lines = #body }
      body = nil
    elseif body then body[#body + 1] = line end
  end
  return list
end

describe("the manual's code", function()
  local folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir -p " .. folder .. " && ln -s " .. "$PWD/albedo.so " .. folder .. "/ 2>/dev/null")
  teardown(function()
    for _, path in ipairs(made) do os.remove(path) end
    os.execute("rm -rf '" .. folder .. "'")
  end)

  for _, guide in ipairs(manual.guides) do
    it("runs: " .. guide.file, function()
      local joined, n = {}, 0
      for _, b in ipairs(blocks(guide.file)) do
        if b.kind == "lua first" then joined[#joined + 1] = b.text
        elseif b.kind == "lua" then
          local out, ok = run(("cd %s && %s %s"):format(folder, lua, write(os.tmpname(), b.text)))
          assert.is_true(ok, out)
          n = n + 1
        end
      end
      if #joined > 0 then -- the blocks of one page that go on from one another
        local out, ok = run(("cd %s && %s %s"):format(folder, lua,
          write(os.tmpname(), table.concat(joined))))
        assert.is_true(ok, out)
        n = n + #joined
      end
      assert.is_true(n > 0 or guide.file == "op")
    end)
  end

  it("runs as a spec: an op in Lua", function()
    for _, b in ipairs(blocks "op") do
      if b.kind == "lua spec" then
        assert.is_true(b.lines < 40, b.lines .. " lines")
        local out, ok = run(("%s /usr/bin/busted -o plainTerminal %s"):format(lua, write(os.tmpname() .. "_spec.lua", b.text)))
        assert.is_true(ok, out)
        assert.is_truthy(out:find "2 successes", out)
      end
    end
  end)

  -- The block is compiled and linked with the objects of this build into a module of its own.
  local release = al.native.system().path:find("/build/", 1, true) == nil and io.open "build/release/op/conv.o"
  it("runs as a spec: an op in C" .. (release and "" or " (no objects of the release here)"), function()
    if not release then return pending "the release's objects are not here" end
    release:close()
    local source, spec, lines
    for _, b in ipairs(blocks "op") do
      if b.kind == "c op" then source, lines = b.text, b.lines end
      if b.kind == "lua with op" then spec, lines = b.text, lines + b.lines end
    end
    assert.is_true(lines < 40, lines .. " lines")
    local at = folder .. "/op"
    local out, ok = run(("mkdir -p %s && ln -sfn $PWD/lua %s/lua"):format(at, at))
    assert.is_true(ok, out)
    write(at .. "/softshrink.c", source)
    write(at .. "/softshrink_spec.lua", spec)
    out, ok = run(("gcc -std=gnu11 -Wall -Wextra -Werror -O1 -fPIC -fopenmp -Icsrc -Icsrc/op -c %s/softshrink.c -o %s/softshrink.o"
      .. " && gcc -shared -fopenmp -o %s/albedo.so %s/softshrink.o $(find build/release -name '*.o' -not -path '*/plugin/*'"
      .. " -not -path '*/spec/*') $(pkg-config --libs openblas) -lm"):format(at, at, at, at))
    assert.is_true(ok, out)
    out, ok = run(("LUA_CPATH_5_4='%s/?.so;;' LUA_CPATH='%s/?.so;;' %s /usr/bin/busted -o plainTerminal %s/softshrink_spec.lua")
      :format(at, at, lua, at))
    assert.is_true(ok, out)
    assert.is_truthy(out:find "2 successes", out)
  end)
end)

describe("the manual's tables", function()
  -- Where a method may live.
  local Optimizer = al.optim.Optimizer
  local function method(name)
    return al.native.methods[name] or al.native.fields[name] or al.nn.Module[name] or rawget(Optimizer, name)
  end

  for _, file in ipairs { "pytorch", "torch7" } do
    it("name what exists: " .. file, function()
      local wrong, names = {}, 0
      for _, line in ipairs(lines_of(file)) do
        local cell = line:match "^| .- | (.-) | [^|]*|$"
        for code in (cell or ""):gmatch "`([^`]+)`" do
          local said = code:gsub('"[^"]*"', '""') -- not the names of files
          for path in said:gmatch "%f[%w_]al%.([%w_.]+)" do
            names = names + 1
            if not catalog.value(path) then wrong[#wrong + 1] = "al." .. path end
          end
          for owner, name in said:gmatch "%f[%w_]([%a_]%w*):([%a_][%w_]*)" do
            names = names + 1
            if owner ~= "al" and not method(name) then wrong[#wrong + 1] = owner .. ":" .. name end
          end
        end
      end
      assert.same({}, wrong)
      assert.is_true(names > 60, names)
    end)
  end
end)

describe("the manual", function()
  local probe = io.popen "command -v cmark-gfm 2>/dev/null"
  local cmark = (probe:read "*a" or "") ~= ""
  probe:close()
  it("builds, every link leads somewhere" .. (cmark and "" or " (no cmark-gfm here)"), function()
    if not cmark then return pending "no cmark-gfm" end
    local folder = os.tmpname()
    os.remove(folder)
    local pages, names = manual.build(folder)
    assert.is_true(pages >= 30 and names > 600)
    local ids, links, files, empty = {}, {}, {}, nil
    local search = io.open(folder .. "/names.js"):read "*a"
    local list = io.popen("cd " .. folder .. " && ls *.html")
    for file in list:lines() do files[#files + 1] = file end
    list:close()
    for _, file in ipairs(files) do
      local html = io.open(folder .. "/" .. file):read "*a"
      ids[file] = true
      if html:find("<code></code>", 1, true) then empty = file end
      for id in html:gmatch ' id="([^"]+)"' do ids[file .. "#" .. id] = true end
      for url in html:gmatch 'href="([^"]+)"' do
        if not url:find "^%a+:" and not url:find "%.css$" then
          links[#links + 1] = { file, url:find "^#" and file .. url or url }
        end
      end
      for img in html:gmatch "<img [^>]+>" do
        assert.is_truthy(img:find 'alt="[^"]+"', img)
        local f = io.open(folder .. "/" .. img:match 'src="([^"]+)"')
        assert.is_truthy(f, img)
        f:close()
      end
    end
    local dead = {}
    for _, link in ipairs(links) do
      local there = ids[link[2]] or not link[2]:find "%.html" and io.open(link[2])
      if not there then dead[#dead + 1] = link[1] .. " -> " .. link[2] end
    end
    os.execute("rm -rf '" .. folder .. "'")
    assert.same({}, dead)
    assert.is_true(ids["nn.html#Module:freeze"] and ids["report.html#Report:figure"])
    assert.is_nil(ids["onnx.html#Graph:node"])
    assert.is_nil(ids["core.html#fault_after"])
    assert.is_falsy(empty, empty)
    assert.is_truthy(search:find('"Module:freeze"', 1, true))
  end)

  it("refuses a public name without documentation", function()
    al.image.nameless = loadstring and loadstring "return 1" or load "return 1"
    local ok, message = pcall(manual.build, "/nowhere")
    al.image.nameless = nil
    assert.is_false(ok)
    assert.equal("without documentation: image.nameless", message)
  end)
end)

describe("the annotations", function()
  it("are Lua that defines every op, function and class", function()
    local text = require "albedo.manual.annotations"()
    local chunk = assert((loadstring or load)(text))
    local meta = chunk()
    local missing = {}
    for _, entry in ipairs(catalog.names()) do
      local value = meta
      for name in entry.path:gmatch "[^.]+" do value = type(value) == "table" and value[name] or nil end
      if entry.kind ~= "method" and entry.kind ~= "field" and not value then missing[#missing + 1] = entry.path end
    end
    assert.same({}, missing)
    assert.equal("function", type(meta.conv2d))
    assert.is_truthy(text:find("%-%-%-@param w albedo.Tensor\n%-%-%-@param b%? albedo.Tensor\n"
      .. "%-%-%-@param opts%? { stride%?: integer|integer%[%], [^\n]*\n%-%-%-@return albedo.Tensor\nfunction Tensor:conv2d"))
    assert.is_truthy(text:find "^%-%-%-@meta")
  end)
end)
