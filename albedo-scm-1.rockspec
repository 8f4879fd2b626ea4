-- `luarocks --lua-version 5.4 make` in a clone; with Debian's lua-argparse, lua-cjson and
-- lua-filesystem `make --deps-mode none`. OpenBLAS and stb come from the system (see README.md)
rockspec_format = "3.0"
package = "albedo"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "Tensors and autograd for Lua 5.4, on a compact C kernel",
  license = "MIT",
}
dependencies = { "lua == 5.4", "argparse", "lua-cjson", "luafilesystem" }
test_dependencies = { "busted" }
build = {
  type = "make",
  build_target = "build",
  install_target = "install",
  build_variables = { CFLAGS = "" },
  install_variables = { LUA_LIBDIR = "$(LIBDIR)", LUA_SHAREDIR = "$(LUADIR)" },
}
