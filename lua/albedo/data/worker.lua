-- What a loader's worker does, in its own Lua: csrc/lua/worker.c calls this with the setup, and
-- what it returns with each job.
local al = require "albedo"
local cross = require "albedo.data.cross"
local read = require "albedo.data.read"

local function pack(...) return { n = select("#", ...), ... } end

return function(setup, tensors)
  local paths = cross.unpack(setup, {})
  package.path, package.cpath = paths[1], paths[2]
  local task = cross.unpack(paths[3], tensors)[1]
  local function batch(job)
    local given = cross.unpack(job, {})
    local values = pack(read(task, given[1], given[2]))
    return { cross.pack("data.loader: a batch", values, values.n) }
  end
  local function explain(message)
    local sample = task.sample and ("sample %d, "):format(task.sample) or ""
    local text = ("%s\n(%sin a loader's worker)"):format(tostring(message), sample)
    return debug.traceback(text, 2)
  end
  --- A job -> the batch as text and tensors, and the scope that holds them.
  return function(job)
    local scope = al.scope()
    local ok, result = xpcall(function() return batch(job) end, explain)
    if not ok then
      scope:close()
      error(result, 0)
    end
    return result[1], result[2], scope
  end
end
