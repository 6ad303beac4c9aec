"""Writes fairness.csv and fairness.json: a small audit and what independent libraries say about it.

    pip install fairlearn==0.15.0 scipy==1.17.1 statsmodels==0.15.0 pandas==3.1.1 scikit-learn==1.9.1
    python fairness.py

Rates and gaps come from fairlearn, Wilson intervals from scipy, Newcombe intervals from statsmodels. The interval of a
ratio is solved from its definition (the ratios r for which the MOVER interval of p - r*q holds 0) with brentq.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from fairlearn import metrics as fm
from scipy.optimize import brentq
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score
from statsmodels.stats.proportion import confint_proportions_2indep

here = Path(__file__).parent
rng = np.random.default_rng(20130101)
n = 900
sex = rng.choice(["F", "M"], n, p=[0.45, 0.55])
race = rng.choice(["Asian", "Black", "Other", "White"], n, p=[0.15, 0.3, 0.1, 0.45])
label = (rng.random(n) < np.where(race == "White", 0.42, 0.3)).astype(int)
score = 0.25 + 0.35 * label + 0.08 * (sex == "M") + 0.06 * (race == "White") + rng.normal(0, 0.2, n)
selected = (score > 0.5).astype(int)
weight = rng.integers(0, 4, n)
data = pd.DataFrame({"sex": sex, "race": race, "label": label, "selected": selected, "weight": weight})
data.to_csv(here / "fairness.csv", index=False)


def wilson(k, of):
    ci = binomtest(int(k), int(of)).proportion_ci(confidence_level=0.95, method="wilson")
    return [ci.low, ci.high]


def ratio_interval(a, b):
    (k, m), (j, of) = a, b
    p, q = k / m, j / of
    (pl, pu), (ql, qu) = wilson(k, m), wilson(j, of)
    # MOVER limits of p - r*q, whose root in r is the limit of the ratio.
    lower = lambda r: p - r * q - np.hypot(p - pl, r * (qu - q))
    upper = lambda r: p - r * q + np.hypot(pu - p, r * (q - ql))
    return [brentq(lower, 0, 100, xtol=1e-15, rtol=1e-15), brentq(upper, 0, 100, xtol=1e-15, rtol=1e-15)]


def audit(by, weights):
    y, d = data["label"], data["selected"]
    by_rate = {
        "selection_rate": fm.selection_rate,
        "true_positive_rate": fm.true_positive_rate,
        "false_positive_rate": fm.false_positive_rate,
        "accuracy": accuracy_score,
    }
    frame = fm.MetricFrame(
        metrics=by_rate, y_true=y, y_pred=d, sensitive_features=by, sample_params={r: {"sample_weight": weights} for r in by_rate}
    )
    names = by if isinstance(by, pd.Series) else by.agg(" × ".join, axis=1)
    groups = {}
    counts = {}
    for group in sorted(names.unique()):
        at = names == group
        w = weights[at]
        rows, base = int(w.sum()), int(w[y[at] == 1].sum())
        hits = int(w[d[at] == 1].sum())
        tp = int(w[(d[at] == 1) & (y[at] == 1)].sum())
        counts[group] = {"selection_rate": (hits, rows), "true_positive_rate": (tp, base), "false_positive_rate": (hits - tp, rows - base)}
        key = group if isinstance(by, pd.Series) else tuple(group.split(" × "))
        rates = {rate: float(frame.by_group.loc[key, rate]) for rate in by_rate}
        groups[group] = {
            "rows": rows,
            **{rate: {"value": value, "wilson": wilson(*counts[group][rate]) if rate in counts[group] else None} for rate, value in rates.items()},
        }

    def extremes(rate):
        values = frame.by_group[rate]
        name = lambda key: key if isinstance(key, str) else " × ".join(key)
        return counts[name(values.idxmin())][rate], counts[name(values.idxmax())][rate]

    low, high = extremes("selection_rate")
    kw = {"sensitive_features": by, "sample_weight": weights}
    newcombe = confint_proportions_2indep(*high, *low, compare="diff", method="newcomb")
    return {
        "groups": groups,
        "demographic_parity_difference": fm.demographic_parity_difference(y, d, **kw),
        "demographic_parity_ratio": fm.demographic_parity_ratio(y, d, **kw),
        "equal_opportunity_difference": fm.equal_opportunity_difference(y, d, **kw),
        "equalized_odds_difference": fm.equalized_odds_difference(y, d, **kw),
        "equalized_odds_ratio": fm.equalized_odds_ratio(y, d, **kw),
        "demographic_parity_difference_newcombe": [float(newcombe[0]), float(newcombe[1])],
        "demographic_parity_ratio_interval": ratio_interval(low, high),
    }


expected = {}
for name, weights in [("unweighted", pd.Series(np.ones(n, dtype=int))), ("weighted", data["weight"])]:
    expected[name] = {
        "sex": audit(data["sex"], weights),
        "race": audit(data["race"], weights),
        "sex × race": audit(data[["sex", "race"]], weights),
    }
(here / "fairness.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
