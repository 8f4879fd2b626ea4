-- The README tells the truth: its scripts run, its transcript comes out as printed.
local lua = os.getenv "LUA" or "lua5.4"
local function run(command, input)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(input)
  file:close()
  -- LuaJIT's close does not tell a command that failed: the shell prints it
  local p = io.popen(("( %s ) < %s 2>&1; echo ' '$?"):format(command, path))
  local out, status = p:read("*a"):match "^(.*) (%d+)\n$"
  p:close()
  os.remove(path)
  return out, status == "0"
end

-- The bodies of the fenced blocks whose fence says `kind`.
local function blocks(kind)
  local list, body, wanted = {}, nil, false
  for line in io.lines("README.md") do
    local fence = line:match("^```(.*)$")
    if fence and not body then
      body, wanted = {}, fence == kind
    elseif fence then
      if wanted then list[#list + 1] = table.concat(body, "\n") end
      body = nil
    elseif body then
      body[#body + 1] = line
    end
  end
  return list
end

describe("the README", function()
  it("has scripts that run", function()
    local list = blocks "lua"
    assert.is_true(#list > 0)
    for _, body in ipairs(list) do
      local out, ok = run(lua .. " -", body)
      assert.is_true(ok, out)
    end
  end)

  it("has a transcript that comes out as printed", function()
    local transcript
    for _, body in ipairs(blocks "") do
      if body:sub(1, 2) == "> " then transcript = transcript or body end
    end
    local typed, printed = {}, {}
    for line in transcript:gmatch("[^\n]+") do
      if line:sub(1, 2) == "> " then typed[#typed + 1] = line:sub(3)
      else printed[#printed + 1] = line end
    end
    local out = run(lua .. " -i -l albedo", table.concat(typed, "\n") .. "\n")
    local at = 1
    for _, line in ipairs(printed) do
      local _, last = out:find(line, at, true)
      assert.is_truthy(last, "not printed, or out of order: " .. line .. "\n" .. out)
      at = last + 1
    end
  end)

  -- What a line of a shell block calls must be there: targets, scripts, and al's names in `-e`.
  it("names in its shell blocks what exists, and runs the scripts it shows", function()
    local makefile, seen = io.open("Makefile"):read "*a", 0
    for _, body in ipairs(blocks "sh") do
      for line in body:gmatch "[^\n]+" do
        local command = line:gsub("%s+#.*$", "")
        local target = command:match "^make ([%w_-]+)$"
        local script = command:match "^lua5%.4 ([%w_/]+%.lua)"
        assert.is_truthy(target or script, "not looked at: " .. line)
        if target then
          assert.is_truthy(makefile:find("\n" .. target .. ":", 1, true), line)
          local out, ok = run("make -n " .. target, "")
          assert.is_true(ok, out)
        else
          local out, ok = run(lua .. " " .. script .. " --help", "")
          assert.is_true(ok or io.open(script) ~= nil, out)
        end
        seen = seen + 1
      end
    end
    assert.is_true(seen >= 5, seen)
  end)

  it("trains on a folder by its command, which given again goes on", function()
    local dir = os.tmpname()
    os.remove(dir)
    local at = "cd %s && %s %s/examples/17_folder.lua photos" -- albedo.so as spec/run says
    local here = io.popen("pwd"):read "*l"
    os.execute(("mkdir -p %s/photos/cat %s/photos/dog"):format(dir, dir))
    local al = require "albedo"
    for i = 1, 20 do
      al.image.save(("%s/photos/cat/%d.png"):format(dir, i), (al.rand(3, 32, 32) * 90):to "uint8")
      al.image.save(("%s/photos/dog/%d.png"):format(dir, i), (al.rand(3, 32, 32) * 90 + 160):to "uint8")
    end
    local command = at:format(dir, lua, here)
    local out, ok = run(command, "")
    assert.is_true(ok, out)
    assert.is_not_nil(io.open(dir .. "/runs/photos/report.html"))
    out, ok = run(command, "")
    assert.is_true(ok, out)
    assert.is_truthy(out:find("trained already", 1, true), out)
    -- the README's lines for the REPL, of these pictures
    os.execute(("ln -s '%s/examples' '%s/examples'"):format(here, dir))
    local typed = blocks "repl"
    assert.equal(1, #typed)
    out = run(("cd '%s' && %s -l albedo -e 'require \"albedo.repl\"()'"):format(dir, lua),
      (typed[1]:gsub("%f[^\n%z]>+ ", "")) .. "\n")
    assert.is_nil(out:find "stdin:", out)
    assert.is_truthy(out:find "trained already", out)
    assert.is_truthy(out:find "%d%.%d%d cat\n%d%.%d%d dog", out)
    assert.is_truthy(out:find("model: 14 matched\n", 1, true), out)
    -- another picture: another run
    os.execute(("mv '%s/photos/cat/1.png' '%s/photos/cat/new.png'"):format(dir, dir))
    out, ok = run(command, "")
    os.execute("rm -rf '" .. dir .. "'")
    assert.is_falsy(ok)
    assert.is_truthy(out:find "17_folder.lua:%d+: al.fit: runs/photos/net.safetensors is of another run: data was", out)
  end)
end)
