--- classical.sparse: dictionaries learned from signals, and classifiers by sparse codes.
-- Signals and atoms are rows (n x d, k x d), codes n x k; atoms have length 1.
--
--   local sparse = al.classical.sparse
--   local d = sparse.ksvd(x, { atoms = 64, nonzeros = 4 })         -- d.atoms, d.objective
--   local d = sparse.by_class(x, y, { atoms = 16, nonzeros = 4 })  -- 16 a class; d.labels
--   sparse.crc(z, d):argmax(2)                                     -- classes of z's rows
--
-- A dictionary is { atoms, labels (the atoms' classes), classes }; the classifiers src, crc and
-- sacrc give scores n x classes, larger is likelier.

local al = require "albedo"
local options = require "albedo.options"

local sparse = {}

local function unit(x) return x / (x:norm(2, -1, true) + 1e-12) end

-- ---- learning -------------------------------------------------------------------------------

-- Atom k and its weights refit to what the others leave, on the signals that use it: the
-- leading pair of singular vectors by alternating least squares, each half lowering the error;
-- left = x - code @ atoms is kept up to date.
local function refit(k, atoms, code, left)
  local weights = code:select(2, k)
  local users = weights:ne(0):nonzero():reshape(-1)
  if #users == 0 then return false end
  local w = weights:index_select(1, users):unsqueeze(2)
  local own = left:index_select(1, users) + w * atoms[k]
  local atom
  for _ = 1, 3 do
    atom = unit(w:t():matmul(own):reshape(-1))
    w = own:matmul(atom:unsqueeze(2))
  end
  atoms[k] = atom
  code[{ users, k }] = w:reshape(-1)
  left[users] = own - w * atom
  return true
end

-- Of each signal's two codes the one that leaves less: pursuit may lose to the former.
local function better(x, atoms, former, fresh)
  if not former then return fresh end
  local function rest(code) return (x - code:matmul(atoms)):square():sum(2, true) end
  return al.where(rest(fresh):le(rest(former)), fresh, former)
end

local function learn(x, o, atoms)
  local n, k = #x, #atoms
  local objective, code = {}, nil
  for _ = 1, o.iterations do
    code = al.scope(function() return better(x, atoms, code, x:omp(atoms, o.nonzeros)) end)
    objective[#objective + 1] = (x - code:matmul(atoms)):square():sum():item()
    al.scope(function()
      local left = x - code:matmul(atoms)
      local worst = left:square():sum(2):argsort(1, true)
      local used = 0
      for i = 1, k do
        if not refit(i, atoms, code, left) and used < n then -- an idle atom: the worst signal
          used = used + 1
          atoms[i] = unit(x[worst[used]:item()])
        end
      end
    end)
    objective[#objective + 1] = (x - code:matmul(atoms)):square():sum():item()
  end
  return atoms, code, objective
end

-- k rows of x, drawn without replacement; again when there are fewer.
local function some(x, k, generator)
  local rows = {}
  while #rows < k do
    for _, i in ipairs(al.randperm(#x, { generator = generator }):totable()) do
      if #rows < k then rows[#rows + 1] = i end
    end
  end
  return unit(x:index_select(1, al.tensor(rows, { dtype = "int64" })) + 0)
end

local defaults = { nonzeros = 4, iterations = 10 }

--- K-SVD (Aharon, Elad, Bruckstein 2006): min |x - code @ atoms|^2 with `nonzeros` weights a
-- signal. Options: atoms (how many), nonzeros = 4, iterations = 10, init (atoms k x d to start
-- from: signals drawn), generator. Gives { atoms, code, objective }: the sum of squares after
-- each coding and each update of the atoms, which never grows.
function sparse.ksvd(x, given)
  local o = options("ksvd", given, defaults, { "atoms", "init", "generator" })
  if x.ndim ~= 2 or #x < 1 then error("ksvd: signals are the rows of an n x d tensor", 2) end
  if not o.atoms and not o.init then error("ksvd: say how many atoms", 2) end
  local atoms, code, objective = al.no_grad(function()
    local signals = x:detach()
    return learn(signals, o, o.init and unit(o.init + 0) or some(signals, o.atoms, o.generator))
  end)
  return { atoms = atoms, code = code, objective = objective }
end

--- A dictionary of `atoms` atoms a class (labels 1 .. classes), each class's by K-SVD of its
-- own signals; iterations = 0 takes signals themselves. Options as ksvd's, and classes.
function sparse.by_class(x, labels, given)
  local o = options("by_class", given, defaults, { "atoms", "generator", "classes" })
  local classes, atoms, of = o.classes or labels:max():item(), {}, {}
  for c = 1, classes do
    local own = x[labels:eq(c)]
    if #own == 0 then error(("by_class: no signal of class %d"):format(c), 2) end
    if o.iterations == 0 then atoms[c] = some(own, o.atoms, o.generator)
    else
      atoms[c] = sparse.ksvd(own, { atoms = o.atoms, nonzeros = o.nonzeros,
        iterations = o.iterations, generator = o.generator }).atoms
    end
    of[c] = al.full({ o.atoms }, c, { dtype = "int64" })
  end
  return { atoms = al.cat(atoms, 1), labels = al.cat(of, 1), classes = classes }
end

--- Label-consistent K-SVD (Jiang, Lin, Davis 2011): min |x - code @ atoms|^2
-- + alpha |q - code @ a|^2 + beta |h - code @ w|^2, where q asks each signal to use atoms of
-- its class and h is its label: K-SVD of the three side by side. Options: by_class's, and
-- alpha = 1, beta = 1. Gives a dictionary with w (k x classes), objective; see sparse.linear.
function sparse.lcksvd(x, labels, given)
  local o = options("lcksvd", given, { nonzeros = 4, iterations = 10, alpha = 1, beta = 1 },
    { "atoms", "generator", "classes" })
  return al.no_grad(al.scope, function()
    local start = sparse.by_class(x, labels, { atoms = o.atoms, nonzeros = o.nonzeros,
      iterations = math.min(o.iterations, 3), generator = o.generator, classes = o.classes })
    local d, k = x:size(2), #start.atoms
    local h = labels:one_hot(start.classes, { dtype = x.dtype })
    local q = h:matmul(start.labels:one_hot(start.classes, { dtype = x.dtype }):t())
    local a, b = math.sqrt(o.alpha), math.sqrt(o.beta)
    -- the maps that fit q and h to the first codes, as ridge regressions
    local code = x:omp(start.atoms, o.nonzeros)
    local system = code:t():matmul(code) + al.eye(k, { dtype = x.dtype })
    local maps = system:solve(code:t():matmul(al.cat({ q * a, h * b }, 2)))
    local joint = sparse.ksvd(al.cat({ x, q * a, h * b }, 2), {
      init = al.cat({ start.atoms, maps }, 2), nonzeros = o.nonzeros, iterations = o.iterations,
    })
    local own = joint.atoms:narrow(2, 1, d)
    local length = own:norm(2, 2, true) + 1e-12
    return {
      atoms = own / length, labels = start.labels, classes = start.classes,
      objective = joint.objective,
      w = joint.atoms:narrow(2, d + k + 1, start.classes) / (length * b),
    }
  end)
end

-- ---- classifying ----------------------------------------------------------------------------

local function member(d, dtype) return d.labels:one_hot(d.classes, { dtype = dtype }) end

-- |x - x_c|^2, x_c the part of x that the atoms of class c make: n x classes
local function rests(x, code, d)
  local columns = {}
  for c = 1, d.classes do
    local own = code * d.labels:eq(c):to(code.dtype)
    columns[c] = (x - own:matmul(d.atoms)):square():sum(2, true)
  end
  return al.cat(columns, 2)
end

--- Scores of a label-consistent dictionary's own linear map: code @ w.
function sparse.linear(x, d, given)
  local o = options("linear", given, { nonzeros = 4 })
  return x:omp(d.atoms, o.nonzeros):matmul(d.w)
end

--- Sparse representation classification (Wright et al. 2009), coded by OMP: minus the length
-- of what the atoms of a class leave.
function sparse.src(x, d, given)
  local o = options("src", given, { nonzeros = 4 })
  return -rests(x, x:omp(d.atoms, o.nonzeros), d):sqrt()
end

--- Collaborative codes: those of least |x - code @ atoms|^2 + lambda |code|^2, in closed form.
function sparse.ridge(x, d, lambda)
  local gram = d.atoms:matmul(d.atoms:t())
  gram = gram + al.eye(#gram, { dtype = x.dtype }) * lambda
  return gram:solve(d.atoms:matmul(x:t())):t()
end

--- Collaborative representation classification (Zhang, Yang, Feng 2011): minus the ratio of
-- what the atoms of a class leave to the length of their weights. lambda = 0.01.
function sparse.crc(x, d, given)
  local o = options("crc", given, { lambda = 0.01 })
  local code = sparse.ridge(x, d, o.lambda)
  local length = (code:square():matmul(member(d, x.dtype)) + 1e-12):sqrt()
  return -rests(x, code, d):sqrt() / length
end

--- Sparsity-augmented collaborative representation (Akhtar, Shafait, Mian 2017): the sum of
-- sparse and collaborative code at length 1, weights added up class by class.
function sparse.sacrc(x, d, given)
  local o = options("sacrc", given, { nonzeros = 4, lambda = 0.01 })
  local code = unit(x:omp(d.atoms, o.nonzeros) + sparse.ridge(x, d, o.lambda))
  return code:matmul(member(d, x.dtype))
end

--- Learns by_class's and lcksvd's dictionaries of x and labels, and gives a function of signals
-- z -> the scores of every classifier on them, { src, crc, sacrc, lcksvd }, each brought to
-- mean 0 and variance 1 over z, so that their softmax may be added up. Options as by_class's.
function sparse.ensemble(x, labels, given)
  local o = options("ensemble", given, defaults, { "atoms", "generator", "classes" })
  local d, lc = sparse.by_class(x, labels, o), sparse.lcksvd(x, labels, o)
  local n = { nonzeros = o.nonzeros }
  return function(z)
    local scores = { src = sparse.src(z, d, n), crc = sparse.crc(z, d),
      sacrc = sparse.sacrc(z, d, n), lcksvd = sparse.linear(z, lc, n) }
    for name, s in pairs(scores) do scores[name] = (s - s:mean()) / (s:std() + 1e-12) end
    return scores
  end
end

return sparse
