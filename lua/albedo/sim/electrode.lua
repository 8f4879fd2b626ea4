--- sim.electrode: artificial graphite-silicon electrodes, and their X-ray tomography.
--
--   local make = al.sim.electrode { domain = "synthetic" }
--   local v = make:volume(64, { seed = 1 })       -- v.labels, v.scan: 64 x 64 x 64
--   make:phases                                   -- pore, graphite, silicon, binder
--
-- Labels are 1 pore, 2 graphite, 3 silicon, 4 carbon-black and binder (CBD); dim 1 of a volume
-- is the axis of rotation and the normal of the current collector.
--
-- Structure. Graphite: flattened super-ellipsoids |u/a|^p + |v/b|^p + |w/c|^p <= 1 whose
-- normals scatter about the collector's, placed at random one after the other; what a flake may
-- overlap others grows while none fits (graphite 50-60 % by volume, as calendered anodes have).
-- Silicon: small clumps of balls in what is left. CBD: in the remaining pores, where a Gaussian
-- random field less its distance to the solids is largest: films and bridges near contacts.
--
-- Attenuation at 8 keV, per cm: mass attenuation (NIST XCOM: C 4.58, Si 64.7, F 15.5 cm2/g) by
-- density: graphite 2.26 g/cm3 -> 10.3; silicon 2.33 -> 151; carbon black (1.8 g/cm3) and PVDF
-- (1.78) half and half with half its volume nanopores -> 6.9; pores dry -> 0. A voxel is 0.5
-- um.
--
-- Tomography. Parallel projections over 180 degrees; blur of the detector (Gaussian, pixels);
-- an edge term of free propagation, p - edge * Laplacian of p; photons Poisson(flux exp(-p))
-- and Gaussian noise of the read-out, in photons; gains of the detector's pixels that differ,
-- which make rings; filtered back-projection with a Hann window.
--
-- The domains differ in shape law, fractions, photons, blur and rings: "measured" stands in for
-- the real electrode, of which little is labelled. Every number here is from the physics above
-- or a plain guess at a beamline's; none was chosen by a network's results.

local al = require "albedo"
local dice = require "albedo.sim.dice"
local options = require "albedo.options"

local CM = 0.5e-4 -- a voxel's side
local PHASES = { "pore", "graphite", "silicon", "binder" }
local ATTENUATION = { 0, 10.3 * CM, 151 * CM, 6.9 * CM }

local domains = {
  synthetic = {
    radius = { 7, 13 }, flatness = { 0.3, 0.5 }, power = { 2, 3 }, tilt = 20,
    graphite = 0.55, silicon = 0.05, binder = 0.10, grain = 1.6, film = 0.5,
    angles = 180, flux = 3e6, read = 300, blur = 0.6, gain = 4e-4, edge = 0,
  },
  measured = {
    radius = { 6, 15 }, flatness = { 0.2, 0.4 }, power = { 2.5, 4 }, tilt = 30,
    graphite = 0.52, silicon = 0.06, binder = 0.11, grain = 1.3, film = 0.35,
    angles = 180, flux = 2e6, read = 500, blur = 0.9, gain = 8e-4, edge = 0.15,
  },
}

local Electrode = {}
Electrode.__index = Electrode

-- A rotation that takes the z axis `tilt` away from itself: rows of the body's axes, each over
-- (z, y, x).
local function frame(tilt, towards, spin)
  local ct, st, cp, sp = math.cos(tilt), math.sin(tilt), math.cos(towards), math.sin(towards)
  local n = { ct, st * sp, st * cp }
  local e = { -st, ct * sp, ct * cp } -- towards where it leans
  local f = { 0, cp, -sp }
  local c, s = math.cos(spin), math.sin(spin)
  local u, v = {}, {}
  for k = 1, 3 do u[k], v[k] = c * e[k] + s * f[k], c * f[k] - s * e[k] end
  return u, v, n
end

-- The box of voxels within r of a centre: first entries and sizes; and the offsets from the
-- centre along each dim, shaped to broadcast.
local function box(shape, centre, r)
  local at, size, off = {}, {}, {}
  for d = 1, 3 do
    local lo = math.max(1, math.ceil(centre[d] - r))
    at[d], size[d] = lo, math.min(shape[d], math.floor(centre[d] + r)) - lo + 1
    if size[d] < 1 then return nil end
    local line = { 1, 1, 1 }
    line[d] = size[d]
    off[d] = (al.arange(lo, lo + size[d] - 1):to "float32" - centre[d]):reshape(line)
  end
  return at, size, off
end

local function view(t, at, size)
  for d = 1, 3 do t = t:narrow(d, at[d], size[d]) end
  return t
end

-- true within the super-ellipsoid of semi-axes a, b, c and this power
local function flake(off, axes, u, v, n, power)
  local function along(e) return off[1] * e[1] + off[2] * e[2] + off[3] * e[3] end
  local sum = (along(u):abs() / axes[1]) ^ power + (along(v):abs() / axes[2]) ^ power
    + (along(n):abs() / axes[3]) ^ power
  return sum:le(1)
end

-- One attempt to place a flake whose voxels are free but for the share `allowed`: how many
-- became graphite, or nil.
local function try_flake(labels, o, draw, allowed)
  local shape, centre = labels.shape, {}
  local a = draw(o.radius[1], o.radius[2])
  for d = 1, 3 do centre[d] = draw(1 - a / 2, shape[d] + a / 2) end
  local inside = true
  for d = 1, 3 do inside = inside and centre[d] >= 1 and centre[d] <= shape[d] end
  if inside and labels[math.floor(centre[1])][math.floor(centre[2])][math.floor(centre[3])]
    :item() == 2 then return nil end
  local axes = { a, a * draw(0.7, 1), a * draw(o.flatness[1], o.flatness[2]) }
  local tilt = math.rad(o.tilt) * math.sqrt(-2 * math.log(1 - draw(0, 1)))
  local u, v, n = frame(tilt, draw(0, 2 * math.pi), draw(0, math.pi))
  local at, size, off = box(shape, centre, a * 1.35) -- corners of a high power reach out
  if not at then return nil end
  local own, there = flake(off, axes, u, v, n, draw(o.power[1], o.power[2])),
    view(labels, at, size)
  local count = own:to("int64"):sum():item()
  local both = own:logical_and(there:eq(2)):to("int64"):sum():item()
  if count == 0 or both > allowed * count then return nil end
  there[own] = 2
  return count - both
end

local function place_graphite(labels, o, draw)
  local filled, allowed, misses, want = 0, 0.05, 0, o.graphite * labels:numel()
  while filled < want do
    local more = al.scope(try_flake, labels, o, draw, allowed)
    if more then filled, misses = filled + more, 0
    else
      misses = misses + 1
      if misses >= 12 then allowed, misses = allowed * 1.3, 0 end
    end
  end
end

local function place_silicon(labels, o, draw)
  local shape, want = labels.shape, o.silicon * labels:numel()
  local filled = 0
  while filled < want do
    al.scope(function()
      local centre = {}
      for d = 1, 3 do centre[d] = draw(1, shape[d]) end
      if labels[math.floor(centre[1])][math.floor(centre[2])][math.floor(centre[3])]:item() ~= 1
        and draw(0, 1) < 0.9 then return end
      for _ = 1, 3 do -- a clump
        local r = draw(1.5, 3.5)
        local ball = { centre[1] + draw(-2, 2), centre[2] + draw(-2, 2),
          centre[3] + draw(-2, 2) }
        local at, size, off = box(shape, ball, r)
        if at then
          local there = view(labels, at, size)
          local own = (off[1] ^ 2 + off[2] ^ 2 + off[3] ^ 2):le(r * r):logical_and(there:eq(1))
          filled = filled + own:to("int64"):sum():item()
          there[own] = 3
        end
      end
    end)
  end
end

local function place_binder(labels, o, generator)
  al.scope(function()
    local pore = labels:eq(1)
    local noise = al.randn(labels.shape, { generator = generator })
    local field = noise:unsqueeze(1):unsqueeze(1):gaussian_blur(o.grain)
    field = field / field:square():mean():sqrt()
    local away = pore:reshape(field.shape):to("float32"):distance_transform()
    local score = (field - o.film * away):reshape(labels.shape)
    local want = math.min(o.binder * labels:numel(), pore:to("int64"):sum():item())
    if want < 1 then return end
    local ranked = score[pore]:sort(1, true)
    if type(ranked) == "table" then ranked = ranked[1] end
    labels[pore:logical_and(score:ge(ranked[math.floor(want)]:item()))] = 4
  end)
end

--- The labels of a volume: n, or { depth, height, width } voxels; uint8. Options: seed, and any
-- setting of the domain (binder = 0.15, grain = 1).
function Electrode:structure(n, given)
  local o = self:settings(given)
  local shape = type(n) == "table" and n or { n, n, n }
  local generator = al.generator(o.seed)
  local draw = dice(generator)
  local labels = al.ones(shape, { dtype = "uint8" })
  place_graphite(labels, o, draw)
  place_silicon(labels, o, draw)
  place_binder(labels, o, generator)
  return labels
end

--- What tomography shows of labels (depth x height x width): attenuation per voxel, as
-- reconstructed. attenuation: that of each label, those of the phases by default.
function Electrode:scan(labels, given)
  local o = self:settings(given)
  local generator = al.generator(o.seed + 7919)
  local opts = { generator = generator }
  return al.no_grad(al.scope, function()
    local table_of = al.tensor(o.attenuation or ATTENUATION)
    local mu = table_of:index_select(1, labels:to("int64"):reshape(-1)):reshape(labels.shape)
    local angles = (al.arange(o.angles):to "float32" - 1) * (180 / o.angles)
    local p = mu:radon(angles, { circle = false })          -- depth x detectors x angles
    local image = p:permute(3, 1, 2)                        -- one projection each
    if o.blur > 0 then image = image:gaussian_blur(o.blur) end
    if o.edge > 0 then image = image - o.edge * image:laplace() end
    local photons = (o.flux * (-image):exp()):poisson(opts)
    photons = photons + o.read * al.randn(photons.shape, opts)
    local gain = 1 + o.gain * al.randn(1, image:size(2), image:size(3), opts)
    local counted = (photons * gain):clamp(1, math.huge)
    local back = (o.flux / counted):log():permute(2, 3, 1)
    local side = math.max(labels:size(2), labels:size(3))
    local x = back:iradon(angles, { filter = "hann", circle = false, size = side })
    return x:narrow(2, 1 + math.floor((side - labels:size(2)) / 2), labels:size(2))
      :narrow(3, 1 + math.floor((side - labels:size(3)) / 2), labels:size(3)):contiguous()
  end)
end

--- { labels, scan }: a structure and its tomography.
function Electrode:volume(n, given)
  local labels = self:structure(n, given)
  return { labels = labels, scan = self:scan(labels, given) }
end

--- The domain's settings, overlaid.
function Electrode:settings(given)
  return options("electrode", given, self.set, { "seed", "attenuation" })
end

return function(given)
  local domain = given and given.domain or "synthetic"
  if not domains[domain] then
    al.raise(('electrode: domain is "synthetic" or "measured", got %s')
      :format(tostring(domain)))
  end
  local own = {}
  for key, value in pairs(given or {}) do if key ~= "domain" then own[key] = value end end
  local self = setmetatable({ phases = PHASES, set = domains[domain] }, Electrode)
  self.set = self:settings(own)
  self.set.seed = own.seed or 1
  return self
end
