"""Random and degenerate cases of metrics, with scikit-learn's and SciPy's answers and the formulas of
ECE, Frechet distance and MMD in NumPy float64, as a Lua chunk: see spec/metrics_sklearn_spec.lua."""
import numpy as np
from scipy import stats
from sklearn import metrics as M

rng = np.random.default_rng(20)


def lua(v):
    if isinstance(v, dict):
        return "{" + ",".join("%s=%s" % (k, lua(x)) for k, x in v.items()) + "}"
    if isinstance(v, (list, tuple, np.ndarray)):
        return "{" + ",".join(lua(x) for x in v) + "}"
    if isinstance(v, (bool, np.bool_)):
        return "true" if v else "false"
    if isinstance(v, (int, np.integer)):
        return str(int(v))
    return "math.huge" if np.isinf(v) else repr(float(v))


def ece(p, hit, bins):
    # sum over bins (k/bins, (k+1)/bins] of n_k / n |accuracy_k - confidence_k|
    k = np.maximum(np.ceil(p * bins), 1)
    return sum((k == b).mean() * abs(hit[k == b].mean() - p[k == b].mean())
               for b in range(1, bins + 1) if (k == b).any())


def frechet(x, y):
    # |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2); with C = Z^T Z / (n - 1) the last trace is the
    # nuclear norm of Z1 Z2^T / sqrt((n - 1)(m - 1))
    zx, zy = x - x.mean(0), y - y.mean(0)
    n, m = len(x) - 1, len(y) - 1
    cross = np.linalg.svd(zx @ zy.T, compute_uv=False).sum() / np.sqrt(n * m)
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + (zx ** 2).sum() / n + (zy ** 2).sum() / m - 2 * cross


def mmd(x, y):
    z = np.concatenate([x, y])
    d2 = ((z[:, None] - z[None]) ** 2).sum(-1)
    h = np.median(np.sqrt(d2[np.triu_indices(len(z), 1)]))
    k = np.exp(-d2 / (2 * h * h))
    np.fill_diagonal(k, 0)
    n, m = len(x), len(y)
    return k[:n, :n].sum() / (n * (n - 1)) + k[n:, n:].sum() / (m * (m - 1)) - 2 * k[:n, n:].mean(), h


scores = []
for i in range(24):
    n = int(rng.integers(4, 120))
    y = rng.integers(0, 2, n)
    y[:2] = 0, 1
    s = rng.random(n)
    if i % 3 == 1:
        s = np.floor(s * 5) / 5  # many ties
    if i == 2:
        s = np.zeros(n)  # nothing but ties
    if i == 5:
        s = y.astype(float)  # without a mistake
    if i == 8:
        y[:] = 0
        y[1] = 1  # a single positive
    if i == 11:
        s = np.floor(s * 5) / 5 * (1 - y)  # every positive at 0, all else tied at the bins' edges
    if i == 14:
        s = rng.integers(0, 16, n) / 15  # nothing but edges of bins
    fpr, tpr, _ = M.roc_curve(y, s, drop_intermediate=False)
    precision, recall, _ = M.precision_recall_curve(y, s)
    guess = s >= 0.5
    scores.append(dict(
        s=s, y=y + 1, auc=M.roc_auc_score(y, s), ap=M.average_precision_score(y, s), fpr=fpr, tpr=tpr,
        precision=precision[::-1], recall=recall[::-1],
        f1=M.f1_score(y, guess, zero_division=0), p=M.precision_score(y, guess, zero_division=0),
        r=M.recall_score(y, guess, zero_division=0), accuracy=M.accuracy_score(y, guess),
        ece=ece(s, y, 15), ece5=ece(s, y, 5), brier=((s - y) ** 2).mean()))

classes = []
for i in range(8):
    k, n = int(rng.integers(2, 6)), int(rng.integers(5, 80))
    y, g = rng.integers(0, k, n), rng.integers(0, k, n)
    if i == 3:
        g[:] = 0
    seen = sorted(set(y) | set(g))
    classes.append(dict(
        y=y + 1, g=g + 1, macro=M.f1_score(y, g, average="macro", zero_division=0),
        micro=M.f1_score(y, g, average="micro"), k=k,
        precision=M.precision_score(y, g, average="macro", zero_division=0),
        recall=M.recall_score(y, g, average="macro", zero_division=0, labels=seen),
        confusion=M.confusion_matrix(y, g, labels=list(range(k))),
        jaccard=[M.jaccard_score(y == c, g == c, zero_division=0) for c in range(k)],
        dice=[M.f1_score(y == c, g == c, zero_division=0) for c in range(k)]))

features = []
for n, m, d, scale in [(40, 30, 5, 1), (8, 9, 20, 1), (30, 30, 3, 10), (25, 40, 1, 0.1), (6, 6, 4, 1)]:
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) * scale + 0.3
    if n == 6:
        x[:, 1] = y[:, 1] = 2.0  # a feature that never changes
    if n == 25:
        y[:n] = x  # most samples are in both sets
    value, h = mmd(x, y)
    features.append(dict(x=x, y=y, frechet=frechet(x, y), mmd2=value, h=h))

paired = []
for i in range(10):
    n = int(rng.integers(5, 40)) if i < 8 else 80
    a = rng.normal(size=n)
    b = a + rng.normal(0.3, 1, n)
    if i % 4 == 3:
        a, b = np.round(a), np.round(b)
        b[:2] = a[:2] + [3, 4]
    tied = i % 4 == 3
    t = stats.ttest_rel(a, b)
    w = stats.wilcoxon(a, b, mode="approx" if n > 50 else "exact") if not tied else None
    one, other = rng.random(n) < 0.8, rng.random(n) < 0.6
    few, both = (one & ~other).sum(), (one != other).sum()
    paired.append(dict(a=a, b=b, t=t.statistic, p=t.pvalue, wilcoxon=w.pvalue if w else -1,
                       w=w.statistic if w else -1, one=one, other=other,
                       mcnemar=stats.binomtest(int(few), int(both)).pvalue if both else 1.0))

print("return %s" % lua(dict(scores=scores, classes=classes, features=features, paired=paired)))
