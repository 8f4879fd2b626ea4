--- lab.claims: one page of what the runs of several experiments claim.
--
--   al.lab.claims("CLAIMS.html", { "runs/claims/copymove", "runs/claims/electrode" })
--
-- A folder without metrics.json, or with one that is not sound, or of a run cut short, is named
-- as such; no picture is taken over, since some may not be passed on. Returns how many runs
-- stand in it.

local al = require "albedo"
local runs = require "albedo.report.runs"
local known = runs.known

return function(path, folders)
  local page = al.report.new { title = "Claims",
    lead = "What the papers say, what was measured, and whether it holds; run by make claims." }
  local judged, held, count = 0, 0, 0
  for _, dir in ipairs(folders) do
    local m, wrong = runs.metrics(dir)
    page:heading(m and known(m.experiment) or dir)
    if wrong then
      page:note("Left out: " .. wrong)
    elseif not m or not m.complete then
      page:note "The run has not ended."
    end
    if m then
      local list, options = {}, {}
      for i, c in ipairs(m.claims) do
        list[i] = {}
        for key, value in pairs(c) do list[i][key] = known(value) end
        judged = judged + (list[i].holds ~= nil and 1 or 0)
        held = held + (list[i].holds and 1 or 0)
      end
      for key, value in pairs(m.options) do
        options[#options + 1] = key .. " = " .. tostring(value)
      end
      table.sort(options)
      if #list > 0 then
        page:claims(list)
        count = count + 1
      end
      page:note(("%s. %.0f seconds on %s."):format(table.concat(options, ", "),
        known(m.seconds) or 0, known(m.device) or "an unknown processor"))
    end
  end
  page:note(("%d of %d judged claims hold."):format(held, judged))
  page:write(path)
  return count
end
