"""Trajectories of PyTorch's optimizers and schedules, as a Lua chunk on standard output: see
spec/optim_torch_spec.lua. The chunk returns { steps = { {name, options, values after each step} },
rates = { {name, options, rates} } }."""
import torch
from torch import optim
from torch.optim import lr_scheduler as S


def objective(a, b):
    valley = (10 * (a[1:] - a[:-1] ** 2) ** 2 + (1 - a[:-1]) ** 2).sum()
    return valley + ((b * torch.tensor([[1.0, 3.0], [0.5, 2.0]], dtype=torch.float64)) ** 2).sum() \
        + (b.sum() - a.sum()) ** 2


def trajectory(make, steps):
    a = torch.tensor([-1.2, 1.0, 0.5, -0.3], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([[0.3, -0.7], [1.1, 0.9]], dtype=torch.float64, requires_grad=True)
    opt = make([a, b])

    def closure():
        opt.zero_grad()
        loss = objective(a, b)
        loss.backward()
        return loss
    out = []
    for _ in range(steps):
        opt.step(closure)
        out.append(torch.cat([a.detach(), b.detach().reshape(-1)]).tolist())
    return out


def lua(v):
    if isinstance(v, list):
        return "{" + ", ".join(map(lua, v)) + "}"
    return repr(v)


STEPS = [
    ("sgd", "{ lr = 0.005, momentum = 0.9, nesterov = true, weight_decay = 0.1 }", 12,
     lambda p: optim.SGD(p, lr=0.005, momentum=0.9, nesterov=True, weight_decay=0.1)),
    ("adam", "{ lr = 0.05, weight_decay = 0.1 }", 12, lambda p: optim.Adam(p, lr=0.05, weight_decay=0.1)),
    ("adamw", "{ lr = 0.05, weight_decay = 0.1, beta1 = 0.8 }", 12,
     lambda p: optim.AdamW(p, lr=0.05, weight_decay=0.1, betas=(0.8, 0.999))),
    ("rmsprop", "{ lr = 0.02, weight_decay = 0.1 }", 12, lambda p: optim.RMSprop(p, lr=0.02, weight_decay=0.1)),
    ("rmsprop", "{ lr = 0.02, alpha = 0.9, momentum = 0.7 }", 12,
     lambda p: optim.RMSprop(p, lr=0.02, alpha=0.9, momentum=0.7)),
    ("adagrad", "{ lr = 0.1 }", 12, lambda p: optim.Adagrad(p, lr=0.1)),
    ("adagrad", "{ lr = 0.1, lr_decay = 0.2, weight_decay = 0.3, initial = 0.5, eps = 1e-3 }", 12,
     lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.2, weight_decay=0.3, initial_accumulator_value=0.5, eps=1e-3)),
    ("lbfgs", "{ lr = 0.02, max_iter = 3 }", 6, lambda p: optim.LBFGS(p, lr=0.02, max_iter=3)),
    ("lbfgs", "{ line_search = true }", 2, lambda p: optim.LBFGS(p, line_search_fn="strong_wolfe")),
    ("lbfgs", "{ lr = 3, line_search = true, max_iter = 4, history = 2 }", 7,
     lambda p: optim.LBFGS(p, lr=3, max_iter=4, history_size=2, line_search_fn="strong_wolfe")),
    ("lbfgs", "{ lr = 0.001, line_search = true, max_iter = 5, max_eval = 4 }", 7,
     lambda p: optim.LBFGS(p, lr=0.001, max_iter=5, max_eval=4, line_search_fn="strong_wolfe")),
]

VALUES = [3, 2, 2.1, 1.9999, 2, 2, 1.5, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6, 1.4, 1.5, 1.5, 1.5, 1.5, 1.5]


def rates(make, lr=2.0):
    p = torch.zeros(1, requires_grad=True)
    opt = optim.SGD([p], lr=lr)
    schedule, out = make(opt), []
    for t in range(20):
        out.append(opt.param_groups[0]["lr"])
        opt.step()
        if isinstance(schedule, S.ReduceLROnPlateau):
            schedule.step(VALUES[t])
        elif t < 19:
            schedule.step()
    return out


RATES = [
    ("step", "{ every = 6, gamma = 0.5 }", lambda o: S.StepLR(o, 6, gamma=0.5)),
    ("multistep", "{ at = { 3, 7, 15 }, gamma = 0.3 }", lambda o: S.MultiStepLR(o, [3, 7, 15], gamma=0.3)),
    ("exponential", "{ gamma = 0.9 }", lambda o: S.ExponentialLR(o, 0.9)),
    ("cosine", "{ steps = 20, floor = 0.05 }", lambda o: S.CosineAnnealingLR(o, 20, eta_min=0.1)),
    ("warmup", "{ steps = 8, from = 0.25 }", lambda o: S.LinearLR(o, 0.25, total_iters=8)),
    ("one_cycle", "{ steps = 20 }", lambda o: S.OneCycleLR(o, 2.0, total_steps=20, cycle_momentum=False)),
    ("one_cycle", "{ steps = 20, rise = 0.4, start = 10, finish = 100, shape = 'linear' }",
     lambda o: S.OneCycleLR(o, 2.0, total_steps=20, pct_start=0.4, div_factor=10, final_div_factor=100,
                            anneal_strategy="linear", cycle_momentum=False)),
    ("cyclic", "{ floor = 0.1, up = 3 }", lambda o: S.CyclicLR(o, 0.2, 2.0, step_size_up=3, cycle_momentum=False)),
    ("cyclic", "{ floor = 0.1, up = 3, down = 5, mode = 'triangular2' }",
     lambda o: S.CyclicLR(o, 0.2, 2.0, step_size_up=3, step_size_down=5, mode="triangular2", cycle_momentum=False)),
    ("cyclic", "{ floor = 0.1, up = 4, mode = 'exp_range', gamma = 0.95 }",
     lambda o: S.CyclicLR(o, 0.2, 2.0, step_size_up=4, mode="exp_range", gamma=0.95, cycle_momentum=False)),
    ("plateau", "{ patience = 2, gamma = 0.5, cooldown = 1 }",
     lambda o: S.ReduceLROnPlateau(o, factor=0.5, patience=2, cooldown=1)),
    ("plateau", "{ best = 'high', patience = 1, gamma = 0.5, threshold = 0.1, floor = 0.2 }",
     lambda o: S.ReduceLROnPlateau(o, mode="max", factor=0.5, patience=1, threshold=0.1, min_lr=0.4)),
]

print("return {\nsteps = {")
for name, options, steps, make in STEPS:
    print("{ %r, %s, %r, %s }," % (name, options, options, lua(trajectory(make, steps))))
print("},\nrates = {")
for name, options, make in RATES:
    print("{ %r, %s, %r, %s }," % (name, options, options, lua(rates(make))))
print("},\nvalues = %s\n}" % lua(VALUES))
