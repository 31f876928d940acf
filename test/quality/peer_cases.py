"""What the peers of protocols Q1 to Q5 reach on every single case, for paired tests (see run-protocol.ts).

    python test/quality/peer_cases.py [q1 q2 q3 q4 q5] [--on valid test-B]

Reruns the best peers of the reference runs with their own scripts (numpy and scipy; RECLOOM_SHARED names the folder that holds
data/ and reference/quality/, default /work/shared) and writes <folder>/<protocol>-<part>-<peer>.json: {"metric", "mean", "cases":
{user: figure}}. The folder, RECLOOM_PEER_CASES, lies outside the repository: the files are derived from lent data. The options are
those of reference.md, so nothing is chosen here, and what stands there as the peer's test figure must come out again.
"""
import argparse, json, os, sys
os.environ.setdefault("OMP_NUM_THREADS", "1")
shared = os.environ.get("RECLOOM_SHARED", "/work/shared")
sys.path.insert(0, shared + "/reference/quality")
from common import *  # noqa: E402,F403
import q1data  # noqa: E402

out = os.environ.get("RECLOOM_PEER_CASES", "/tmp/recloom-peer-cases")
here = os.path.dirname(os.path.abspath(__file__))


def per_case(score, mask, test, k, metric):
    n = np.diff(test.indptr)
    row = np.repeat(np.arange(len(n)), n)
    rk = ranks(score, mask, test)
    if metric == "recall":
        return np.bincount(row, rk < k, len(n)) / np.maximum(n, 1)
    dcg = np.bincount(row, np.where(rk < k, 1 / np.log2(rk + 2), 0), len(n))
    return dcg / np.concatenate([[1], np.cumsum(1 / np.log2(np.arange(k) + 2))])[np.minimum(n, k)]


def write(protocol, part, peer, metric, k, users, test, values):
    has = np.flatnonzero(np.diff(test.indptr))
    mean = float(values[has].mean())
    with open(f"{out}/{protocol}-{part}-{peer}.json", "w") as f:
        json.dump({"metric": f"{metric}@{k}", "mean": mean, "cases": {str(users[u]): float(values[u]) for u in has}}, f)
    print(f"{protocol} {part} {peer}: {mean:.4f}", flush=True)


def q1(parts):
    d = q1data.load(os.path.join(here, "..", "..", "examples", "online-retail", "data", "transactions.csv.gz"))
    const = lambda p: (lambda u: np.tile(np.asarray(p, np.float32), (len(u), 1)))
    for part in parts:
        s = q1data.split(d, q1data.VALID_CUT, q1data.TEST_CUT) if part == "valid" else q1data.split(d, q1data.TEST_CUT)
        W = q1data.weights
        h30 = W(s, 30, .05)
        recent = np.bincount(s.lines.i, np.exp(-s.lines.age / 5), s.I)
        easeu = by_items(h30, ease(W(s, 30, .03), 15, 0, .5))
        window = by_items(W(s, 60, .1), q1data.window_linear(s, 60, .1, 1000, 15, 30, 4, 60))
        U, V, _ = ials(W(s, 60, .1).tocsr(), 64, 1.0, .01, nu=1., unobs=.1, it=5)
        peers = {
            "ease": by_items(s.X, ease(s.X, 200)),
            "ease-recency": by_items(h30, ease(W(s, 30, 0.), 100)),
            "mix": mix([zs(f, s.X) for f in (easeu, window, lambda u: U[u] @ V.T, const(np.log(recent + .3)))], [.1, .2, .2, .5]),
        }
        for name, score in peers.items():
            write("q1", part, name, "ndcg", 10, s.users, s.T, per_case(score, s.X, s.T, 10, "ndcg"))


def folder(protocol, name, metric, k, peers, parts):
    D = Split(f"{shared}/data/{name}")
    tv = D.trva.sort_values("u", kind="stable").reset_index(drop=True)
    for part in parts:
        fit, test = (D.train, D.mat(D.valid)) if part == "valid" else (tv, D.mat(D.test))
        X = D.mat(fit)
        for peer, build in peers.items():
            write(protocol, part, peer, metric, k, D.users, test, per_case(build(D, fit, X), X, test, k, metric))


pop = lambda X: 1e-9 * np.asarray(X.sum(0)).ravel().astype(np.float32)
recent = lambda D, fit, decay: D.mat(fit, decay ** ages(fit))


def tuned_q4(D, fit, X):
    return by_items(recent(D, fit, .5), transitions(fit, D.I, .8, 10, .25, .5, 10, .1), pop(X))


def attributes_q4(D, fit, X):
    a = read(f"{shared}/data/beauty-last", "item_attributes")
    idf = np.log(D.I / a.groupby("attribute").item.transform("size"))
    A = sp.csr_matrix((idf.astype(np.float32), (np.searchsorted(D.items, a.item), a.attribute)), shape=(D.I, a.attribute.max() + 1))
    A = rowscale(A, 1 / (np.sqrt(np.asarray(A.multiply(A).sum(1)).ravel()) + 1e-9))
    At, H = A.T.tocsr(), recent(D, fit, .6)
    return mix([zs(tuned_q4(D, fit, X), X), zs(lambda u: dense((H[u] @ A) @ At), X)], [.25, .75])


def q2(parts):
    folder("q2", "ml100k-random", "ndcg", 10, {
        "ease": lambda D, fit, X: by_items(X, ease(X, 400)),
        "edlae": lambda D, fit, X: by_items(X, ease(X, 200, .33)),
    }, parts)


def q3(parts):
    folder("q3", "ml100k-last", "ndcg", 10, {
        "ease": lambda D, fit, X: by_items(X, ease(X, 100)),
        "transitions": lambda D, fit, X: by_items(recent(D, fit, .8), transitions(fit, D.I, .95, 20, .5, .6, 30, .5), pop(X)),
    }, parts)


def q4(parts):
    folder("q4", "beauty-last", "ndcg", 10, {"transitions": tuned_q4, "transitions-attributes": attributes_q4}, parts)


def q5(parts):
    folder("q5", "baby-diffmm", "recall", 20, {
        "ease": lambda D, fit, X: by_items(X, ease(X, 500)),
        "rp3beta": lambda D, fit, X: by_items(X, rp3(X, 2000, .3, 0.), pop(X)),
        "knn": lambda D, fit, X: by_items(X, knn(X, 500, 50, .8, .5), pop(X)),
    }, parts)


if __name__ == "__main__":
    runs = {"q1": q1, "q2": q2, "q3": q3, "q4": q4, "q5": q5}
    args = argparse.ArgumentParser()
    args.add_argument("protocols", nargs="*", default=list(runs))
    args.add_argument("--on", nargs="+", choices=["valid", "test-B"], default=["valid", "test-B"])
    given = args.parse_args()
    os.makedirs(out, exist_ok=True)
    for protocol in given.protocols or list(runs):
        runs[protocol](given.on)
