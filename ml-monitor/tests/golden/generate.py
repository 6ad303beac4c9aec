"""Writes drift.json: what scipy and numpy say about small samples.

scipy 1.14.1, numpy 2.1.3, Python 3.11:  python generate.py > drift.json

The statistics of Kolmogorov and Smirnov are scipy's. The population stability index is written out here in numpy from its
definition: inner quantiles of the reference by the inverted distribution function, each once, one more edge below a least
value that is itself an edge; bins closed above; a bin for missing values; shares clipped at 1e-4.
Values are sent as the index of a pseudo-random sequence would be too: as numbers that single precision holds exactly.
"""

import json

import numpy as np
from scipy import stats

rng = np.random.default_rng(20130101)


def single(values):
    return np.asarray(values, dtype=np.float32).astype(np.float64)


def quarter(values):
    """Coarse values: short in the file, with ties."""
    return np.round(np.asarray(values) * 4) / 4


def ks_cases():
    for name, a, b, method in [
        ("one value each", [1.0], [2.0], "exact"),
        ("one value, equal", [1.0], [1.0], "exact"),
        ("one against many", single(range(20)), [50.0], "exact"),
        ("tiny", [1.0, 2.0, 3.0, 4.0], [3.5, 4.0, 5.0], "exact"),
        ("tiny, disjoint", [1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0], "exact"),
        ("equal sizes", quarter(rng.normal(size=40)), quarter(rng.normal(0.7, size=40)), "exact"),
        ("unequal sizes", quarter(rng.normal(size=50)), quarter(rng.normal(0.3, 1.5, size=31)), "exact"),
        ("identical", list(range(30)), list(range(30)), "exact"),
        ("far apart", list(range(100)), list(range(95, 205)), "exact"),
        ("all tied", [3.0] * 10, [3.0] * 7, "exact"),
        ("infinite", [-np.inf, 0.0, 1.0, np.inf, np.inf], [0.0, 0.5, np.inf], "exact"),
        ("ties, larger", quarter(rng.normal(size=600)), quarter(rng.normal(0.1, size=500)), "asymp"),
        ("ties, moved", quarter(rng.normal(size=600)), quarter(rng.normal(0.5, size=500)), "asymp"),
        ("many against few", quarter(rng.normal(size=5000)), quarter(rng.normal(0.4, size=60)), "asymp"),
        ("counts", rng.poisson(3, size=700), rng.poisson(3.2, size=800), "asymp"),
        ("nothing moved", list(range(800)), [v + 0.5 for v in range(800)], "asymp"),
    ]:
        a, b = np.asarray(a, float), np.asarray(b, float)
        assert (single(a) == a).all() and (single(b) == b).all(), name
        assert (len(a) * len(b) <= 2**18) == (method == "exact"), name
        result = stats.ks_2samp(a, b, method=method)
        yield dict(name=name, reference=runs(a), current=runs(b), statistic=result.statistic, p_value=result.pvalue)


def runs(values):
    """Distinct values and their counts; infinities as text."""
    values, counts = np.unique(values, return_counts=True)
    text = {np.inf: "inf", -np.inf: "-inf"}
    return [[text.get(v, v), int(n)] for v, n in zip(values.tolist(), counts)]


def one_sample_cases():
    """The survival function of the one-sample statistic over every formula's range."""
    for n in [1, 2, 5, 20, 100, 140, 141, 500, 1000, 9091, 50_000, 500_000]:
        for s in [0.05, 0.2, 0.4, 0.75, 1.0, 1.5, 2.1, 2.3, 3.0, 4.1, 7.0, 20.0, 100.0, 360.0]:
            x = float(np.sqrt(s / n))
            if x < 1:
                yield dict(n=n, x=x, survival=float(stats.kstwo.sf(x, n)))


def quantile_edges(values, bins):
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="inverted_cdf"))
    if len(edges) and edges[0] == values.min():
        edges = np.r_[np.nextafter(np.float32(edges[0]), np.float32(-np.inf)).astype(float), edges]
    return edges


def psi(before, now):
    before, now = np.asarray(before, float), np.asarray(now, float)
    n, m = before.sum(), now.sum()
    used = (before > 0) | (now > 0)
    p, q = np.maximum(now[used] / m, 1e-4), np.maximum(before[used] / n, 1e-4)
    index = float(((p - q) * np.log(p / q)).sum())
    degrees = int(used.sum()) - 1
    p_value = float(stats.chi2.sf(index / (1 / n + 1 / m), degrees)) if degrees else 1.0
    return index, p_value


def psi_numeric_cases():
    nan = np.nan
    for name, a, b, bins in [
        ("shifted", quarter(rng.normal(size=800)), quarter(rng.normal(0.6, size=400)), 10),
        ("the same", quarter(rng.normal(size=500)), None, 10),
        ("little moved", quarter(rng.normal(size=900)), quarter(rng.normal(0.05, size=700)), 10),
        ("mostly zero", np.maximum(quarter(rng.normal(-0.5, size=500)), 0), quarter(rng.normal(-0.5, size=500)), 10),
        ("constant, risen", [4.0] * 300, [4.0] * 100 + [5.0] * 100, 10),
        ("constant, fallen", [4.0] * 300, [4.0] * 100 + [3.0] * 100, 10),
        ("gone missing", list(range(200)) + [nan] * 10, list(range(0, 200, 2)) + [nan] * 80, 10),
        ("all missing", list(range(200)), [nan] * 50, 10),
        ("one value", list(range(200)), [7.0], 10),
        ("four bins", quarter(rng.exponential(3, size=600)), quarter(rng.exponential(2, size=300)), 4),
        ("infinite", [-np.inf] * 40 + list(range(100)) + [np.inf] * 20, list(range(50)) + [np.inf] * 50, 5),
    ]:
        a = np.asarray(a, float)
        b = a if b is None else np.asarray(b, float)
        assert ((single(a) == a) | np.isnan(a)).all() and ((single(b) == b) | np.isnan(b)).all(), name
        edges = quantile_edges(a[~np.isnan(a)], bins)
        count = lambda v: np.r_[
            np.bincount(np.searchsorted(edges, v[~np.isnan(v)], side="left"), minlength=len(edges) + 1), np.isnan(v).sum()
        ]
        index, p_value = psi(count(a), count(b))
        missing = lambda v: int(np.isnan(v).sum())
        yield dict(
            name=name, bins=bins, reference=runs(a[~np.isnan(a)]), reference_missing=missing(a),
            current=runs(b[~np.isnan(b)]), current_missing=missing(b), edges=runs(edges), statistic=index, p_value=p_value,
        )


def psi_categorical_cases():
    for name, a, b in [
        ("shares moved", dict(UA=500, DL=300, AA=200), dict(UA=90, DL=20, AA=30)),
        ("unseen category", dict(UA=500, DL=300), dict(UA=250, DL=150, XX=100, YY=20)),
        ("category gone", dict(UA=500, DL=300, B6=200), dict(UA=125, DL=75)),
        ("the same", dict(UA=5, DL=3), dict(UA=5, DL=3)),
    ]:
        known = list(a)
        before = [a[k] for k in known] + [0, 0]
        now = [b.get(k, 0) for k in known] + [sum(v for k, v in b.items() if k not in a), 0]
        index, p_value = psi(before, now)
        yield dict(name=name, reference=a, current=b, statistic=index, p_value=p_value)


def corrected_cases():
    for p in [[0.01, 0.04, 0.03, 0.005, 0.5], [0.2], [0.05, 0.05, 0.05], [1.0, 1e-12, 0.3, 0.9]]:
        yield dict(p_values=p, adjusted=stats.false_discovery_control(p).tolist())


def write(cases):
    lines = ",\n".join("    " + json.dumps(case) for case in cases)
    return f"[\n{lines}\n  ]"


parts = dict(
    ks=ks_cases(), one_sample=one_sample_cases(), psi_numeric=psi_numeric_cases(),
    psi_categorical=psi_categorical_cases(), corrected=corrected_cases(),
)
print("{\n" + ",\n".join(f'  "{name}": {write(cases)}' for name, cases in parts.items()) + "\n}")
