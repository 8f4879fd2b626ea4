--- Changes to a file's bytes, as a fuzzer makes them: the same for the same seed.

local Mutator = {}
Mutator.__index = Mutator

local INTERESTING = {
  0, 1, 2, 3, 7, 8, 9, 15, 16, 31, 32, 63, 64, 100, 127, 128, 129, 255, 256, 257, 511, 512, 1000,
  1024, 4095, 4096, 32767, 32768, 32769, 65534, 65535, 65536, 0x7ffffe, 0x7fffff, 0x800000,
  0xffffff, 0x1000000, 0x3fffffff, 0x40000000, 0x7ffffff0, 0x7ffffffe, 0x7fffffff, 0x80000000,
  0x80000001, 0xc0000000, 0xfffffff0, 0xfffffffe, 0xffffffff, 2 ^ 32, 2 ^ 33, 2 ^ 40, 2 ^ 53,
  2 ^ 62, 2 ^ 63 - 1024, 2 ^ 63, 2 ^ 64 - 2048,
}

--- A number from 0 to n - 1 (Lehmer's generator: the same under both Luas).
function Mutator:below(n)
  self.state = self.state * 16807 % 2147483647
  return n > 0 and math.floor(self.state / 7) % n or 0
end

local function number(v, width, big)
  local out = {}
  for k = 1, width do
    out[k] = string.char(v % 256)
    v = math.floor(v / 256)
  end
  local s = table.concat(out)
  return big and s:reverse() or s
end

local function put(s, at, new) return (s:sub(1, at) .. new .. s:sub(at + #new + 1)):sub(1, #s) end

-- An offset: half of the time in the header or the last part, where formats keep their sizes.
function Mutator:place(s)
  local kind = self:below(4)
  if kind == 0 then return self:below(math.min(#s, 64)) end
  if kind == 1 then return math.max(#s - 1 - self:below(128), 0) end
  return self:below(#s)
end

local WIDTHS = { 1, 2, 4, 4, 8 }
local CHANGES = {
  function(m, s) -- bits
    for _ = 0, m:below(3) do
      local at = m:place(s)
      local byte, bit = s:byte(at + 1) or 0, 2 ^ m:below(8)
      s = put(s, at, string.char(math.floor(byte / bit) % 2 == 0 and byte + bit or byte - bit))
    end
    return s
  end,
  function(m, s) -- a number that breaks things
    local width = WIDTHS[1 + m:below(#WIDTHS)]
    return put(s, m:place(s), number(INTERESTING[1 + m:below(#INTERESTING)], width, m:below(2) == 1))
  end,
  function(m, s) -- a number a little larger or smaller
    local at = m:place(s)
    local byte = s:byte(at + 1) or 0
    return put(s, at, string.char((byte + m:below(17) - 8) % 256))
  end,
  function(m, s) return put(s, m:place(s), string.char(m:below(256))) end,
  function(m, s) return s:sub(1, m:below(#s + 1)) end, -- cut short
  function(m, s) -- a part left out
    local at = m:place(s)
    return s:sub(1, at) .. s:sub(at + 2 + m:below(16))
  end,
  function(m, s) -- a part once more, somewhere
    local from, at = m:place(s), m:below(#s + 1)
    return s:sub(1, at) .. s:sub(from + 1, from + 1 + m:below(64)) .. s:sub(at + 1)
  end,
  function(m, s) -- a part over another
    local from = m:place(s)
    return put(s, m:place(s), s:sub(from + 1, from + 1 + m:below(16)))
  end,
  function(m, s) -- spliced with another seed
    local other = m.seeds[1 + m:below(#m.seeds)]
    return s:sub(1, m:below(#s + 1)) .. other:sub(1 + m:below(#other))
  end,
  function(m, s) -- one byte, many times
    return put(s, m:place(s), string.char(m:below(3) * 127 + m:below(2)):rep(1 + m:below(24)))
  end,
  function(m, s) -- a word of the format, in or over
    if #m.words == 0 then return s end
    local at, word = m:place(s), m.words[1 + m:below(#m.words)]
    return m:below(2) == 0 and put(s, at, word) or s:sub(1, at) .. word .. s:sub(at + 1)
  end,
}

--- The next input: a seed file, changed one to six times.
function Mutator:next()
  local s = self.seeds[1 + self:below(#self.seeds)]
  repeat s = CHANGES[1 + self:below(#CHANGES)](self, s) until self:below(3) == 0
  return s
end

--- A source of inputs made of `seeds` (a list of strings); words are put in as they are.
return function(seeds, words, seed)
  return setmetatable({ seeds = seeds, words = words or {}, state = 1 + seed * 7919 % 2147483646 },
    Mutator)
end
