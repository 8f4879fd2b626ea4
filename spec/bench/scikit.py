# scikit-image and scikit-learn on the work of spec/bench/scikit.lua and spec/scikit_spec.lua:
#   scikit.py NAME FOLDER SIZE ROUNDS
# writes what goes in and comes out to FOLDER/NAME.npz, and prints the best of ROUNDS in milliseconds.
import os, sys, time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # threads as the caller says
    os.environ.setdefault(name, sys.argv[5] if len(sys.argv) > 5 else "1")
import numpy as np

name, folder, size, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
random = np.random.RandomState(1)


def fbp():
    """size x size from 360 angles."""
    from skimage.transform import iradon
    angles = np.arange(360) * 0.5
    off = (np.arange(size) - size // 2)[:, None]
    turn = np.deg2rad(angles)
    sinogram = sum(2 * v * np.sqrt(np.clip((r * size) ** 2 - (off - size * (x * np.cos(turn) - y * np.sin(turn))) ** 2, 0, None))
                   for v, x, y, r in ((1, 0, 0, 0.42), (0.4, 0.1, -0.1, 0.2), (-0.6, -0.2, 0.05, 0.1)))
    return {"sinogram": sinogram, "angles": angles}, lambda: {"picture": iradon(sinogram, angles, filter_name="ramp")}


def omp():
    """size signals of 512 dims, 1,024 atoms, 10 nonzeros; the products with the dictionary counted too."""
    from sklearn.linear_model import orthogonal_mp_gram
    atoms = random.randn(512, 1024)
    atoms /= np.linalg.norm(atoms, axis=0)
    code = np.zeros((1024, size))
    for j in range(size):
        code[random.choice(1024, 10, replace=False), j] = random.randn(10)
    signals = atoms @ code + 0.01 * random.randn(512, size)
    return {"atoms": atoms, "signals": signals}, lambda: {
        "code": orthogonal_mp_gram(atoms.T @ atoms, atoms.T @ signals, n_nonzero_coefs=10)}


def learn():
    """size signals of 32 dims, three of 48 atoms each with noise: a dictionary of 48."""
    from sklearn.decomposition import DictionaryLearning
    atoms = random.randn(48, 32)
    code = np.zeros((size, 48))
    for row in code:
        row[random.choice(48, 3, replace=False)] = random.randn(3)
    signals = code @ atoms / np.linalg.norm(atoms, axis=1).mean() + 0.02 * random.randn(size, 32)
    model = DictionaryLearning(48, alpha=0.1, max_iter=20, fit_algorithm="cd", transform_algorithm="omp", random_state=0)
    return {"signals": signals}, lambda: {"atoms": model.fit(signals).components_}


given, work = {"fbp": fbp, "omp": omp, "learn": learn}[name]()
best = float("inf")
for _ in range(rounds):
    began = time.perf_counter()
    found = work()
    best = min(best, time.perf_counter() - began)
np.savez(os.path.join(folder, name + ".npz"), **given, **found)
print(best * 1e3)
