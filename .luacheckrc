std = "lua54"
max_line_length = 96
exclude_files = { "build", "runs" }
files["spec"] = { std = "lua54+busted" }
files[".luacheckrc"] = { std = "lua54+luacheckrc" }
