-- busted output handler: one line a spec file, failures in full, then
--   skipped: every skipped spec by name
--   N passed, N failed
-- A skip that spec/skips.txt does not name, a spec file or a suite without tests, and an error
-- outside a test each count as failed. spec/run hands over the C tests' results as
-- ALBEDO_C_PASSED, _FAILED, _SKIPPED; ALBEDO_RESULT names a file written only at the true end.
return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local write, clock = io.write, require "system".monotime
  local getenv, open = os.getenv, io.open

  local result_path = getenv "ALBEDO_RESULT"
  local whole = getenv "ALBEDO_WHOLE" == "1" -- no filter: then an empty spec file is a mistake
  local total = {
    passed = tonumber(getenv "ALBEDO_C_PASSED") or 0,
    failed = tonumber(getenv "ALBEDO_C_FAILED") or 0,
  }
  local skipped, tests = {}, 0
  for name in (getenv "ALBEDO_C_SKIPPED" or ""):gmatch "%S+" do skipped[#skipped + 1] = name end

  -- spec/luajit.txt: what LuaJIT does not run: full name # reason
  local excepted, met = {}, 0
  if rawget(_G, "jit") then
    for l in io.lines "spec/luajit.txt" do
      local name, reason = l:match "^([^#]-)%s*#%s*(.+)$"
      if name and name ~= "" then excepted[name] = reason end
    end
    busted.subscribe({ "test", "start" }, function(element)
      local reason = excepted[handler.getFullName(element)]
      if reason then
        met = met + 1
        element.run = function() element.env.pending(reason) end
      end
      return nil, true
    end)
  end

  local file -- { name, passed, failed, skipped, start }

  local function fail(where, name, message)
    total.failed = total.failed + 1
    if file then file.failed = file.failed + 1 end
    write("FAILED ", tostring(where), "\n  ", tostring(name), "\n")
    for line in tostring(message):gmatch "[^\n]+" do write("    ", line, "\n") end
  end

  local function describe_error(element, message, debug)
    local trace = element.trace or debug
    local source = trace and trace.short_src
    local where = source and source .. ":" .. (trace.currentline or "?")
    if message == nil then message = element.message or "error(nil)" end
    local meta = getmetatable(message)
    if type(message) == "table" and not (meta and meta.__tostring) then
      message = require "pl.pretty".write(message)
    end
    if options.verbose and debug and debug.traceback then
      message = tostring(message) .. "\n" .. debug.traceback
    end
    fail(where or element.name or "busted", handler.getFullName(element), message)
  end

  busted.subscribe({ "file", "start" }, function(element)
    file = { name = element.name, passed = 0, failed = 0, skipped = 0, start = clock() }
    return nil, true
  end)

  busted.subscribe({ "file", "end" }, function(element)
    if whole and file.passed + file.failed + file.skipped == 0 then
      fail(element.name, "(the file)", "holds no test")
    end
    local skips = file.skipped > 0 and (", %d skipped"):format(file.skipped) or ""
    write(("%-4s %-44s %4d passed, %d failed%s  %.2f s\n"):format(
      file.failed == 0 and "ok" or "NOT", file.name, file.passed, file.failed, skips,
      clock() - file.start))
    io.flush()
    file = nil
    return nil, true
  end)

  busted.subscribe({ "test", "end" }, function(element, _, status)
    tests = tests + 1
    if status == "success" then
      total.passed = total.passed + 1
      file.passed = file.passed + 1
    elseif status == "pending" then
      file.skipped = file.skipped + 1
      skipped[#skipped + 1] = handler.getFullName(element)
    end
    return nil, true
  end)

  -- Failed assertions and errors: in a test, in a describe block, while a file is read.
  for _, event in ipairs { "failure", "error" } do
    busted.subscribe({ event }, function(element, _, message, debug)
      describe_error(element, message, debug)
      return nil, true
    end)
  end

  -- spec/skips.txt: a full name a line; a trailing * stands for any ending; # starts a comment
  local function allowed_skips()
    local exact, prefixes = {}, {}
    local list = open "spec/skips.txt"
    if list then
      for line in list:lines() do
        local name = line:gsub("%s*#.*$", "")
        if name:sub(-1) == "*" then
          prefixes[#prefixes + 1] = name:sub(1, -2)
        elseif name ~= "" then
          exact[name] = true
        end
      end
      list:close()
    end
    return function(name)
      if exact[name] or excepted[name] then return true end
      for _, prefix in ipairs(prefixes) do
        if name:sub(1, #prefix) == prefix then return true end
      end
      return false
    end
  end

  busted.subscribe({ "suite", "end" }, function()
    local allowed = allowed_skips()
    for _, name in ipairs(skipped) do
      if not allowed(name) then fail("spec/skips.txt", name, "skipped, and not named there") end
    end
    for name in pairs(whole and excepted or {}) do
      local known = false
      for _, other in ipairs(skipped) do known = known or other == name end
      if not known then fail("spec/luajit.txt", name, "no such spec") end
    end
    if whole and met * 10 > tests then fail("spec/luajit.txt", "(the list)", "holds more than a tenth") end
    if tests == 0 then fail("spec", "(the suite)", "ran no test") end
    write("skipped: ", #skipped > 0 and table.concat(skipped, "; ") or "none", "\n")
    write(("%d passed, %d failed\n"):format(total.passed, total.failed))
    io.flush()
    if result_path then
      local out = assert(open(result_path, "w"))
      out:write(total.passed, " ", total.failed, "\n")
      out:close()
    end
    return nil, true
  end)

  return handler
end
