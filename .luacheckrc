std = "lua54"
-- what LuaJIT calls otherwise
read_globals = {
  "jit", "loadstring", "setfenv", "unpack", package = { fields = { "loaders" } },
}
max_line_length = 96
ignore = { "581" } -- `not (x <= y)` is not `x > y` where NaN may come
exclude_files = { "build", "runs" }
-- tables of cases read best a row each
-- (311, 331: t = nil lets go of it, held[1] = t keeps it)
files["spec"] = { std = "lua54+busted", ignore = { "311", "331" }, max_line_length = 150 }
files[".luacheckrc"] = { std = "lua54+luacheckrc" }
