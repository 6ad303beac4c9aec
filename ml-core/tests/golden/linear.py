"""Expected coefficients and predictions of ml_core::trainer::{linear, logistic}, by scikit-learn. Writes linear.json.

scikit-learn 1.9.1, numpy 2.4.6, Python 3. Run: python linear.py

Two oracles a case:
- `coefficients` and `intercept`: the estimator alone, on a matrix preprocessed here in single precision, as graphs
  compute it, so that they can be compared to 1e-6. The last column of a text feature, for unknown categories, is all
  zeros at training. The logistic coefficients are those of newton-cholesky; lbfgs must agree to 1e-5.
- `predictions`: scikit-learn's own pipeline from the raw columns in double precision, to 1e-5.
"""

import json
import pathlib

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

rng = np.random.default_rng(20130102)
N, L2 = 240, 0.7
f32 = np.float32

distance = rng.gamma(2.0, 500.0, N).astype(f32)
temperature = rng.normal(55.0, 18.0, N).astype(f32)
hour = rng.integers(5, 24, N).astype(f32)
carrier = rng.choice(["AA", "B6", "", "UA", "9E"], N, p=[0.3, 0.25, 0.05, 0.3, 0.1])
effect = np.vectorize({"AA": 0.0, "B6": 0.8, "": -0.5, "UA": -0.3, "9E": 1.1}.get)(carrier)
z = 0.002 * distance - 0.03 * temperature + 0.1 * hour + effect
arrival = z * 10.0 + rng.normal(0.0, 6.0, N)
late = (z + rng.logistic(size=N) > np.median(z)).astype(int)
numbers = np.column_stack([distance, temperature, hour])
numbers[rng.random(N) < 0.15, 0] = np.nan
numbers[rng.random(N) < 0.05, 1] = np.nan
weights = rng.gamma(3.0, 0.5, N)
categories = sorted(set(carrier))


def matrix(w):
    """Impute with the weighted mean, standardize, one-hot: in the precision of the graph."""
    columns = []
    for x in numbers.T:
        known = ~np.isnan(x)
        x = np.where(known, x, f32(np.average(x[known].astype(float), weights=w[known])))
        scaler = StandardScaler().fit(x.astype(float)[:, None], sample_weight=w)
        columns.append((x.astype(f32) - f32(scaler.mean_[0])) * f32(1.0 / np.sqrt(scaler.var_[0])))
    columns += [(carrier == c).astype(f32) for c in categories] + [np.zeros(N, f32)]
    return np.column_stack(columns).astype(float)


def estimators(w):
    x = matrix(w)
    ridge = Ridge(alpha=L2, solver="cholesky").fit(x, arrival, sample_weight=w)
    logistic = LogisticRegression(C=1.0 / L2, solver="newton-cholesky", tol=1e-14, max_iter=1000)
    logistic.fit(x, late, sample_weight=w)
    lbfgs = LogisticRegression(C=1.0 / L2, solver="lbfgs", tol=1e-12, max_iter=100_000)
    lbfgs.fit(x, late, sample_weight=w)
    assert np.allclose(lbfgs.coef_, logistic.coef_, rtol=1e-5, atol=1e-6), abs(lbfgs.coef_ - logistic.coef_).max()
    return {
        "ridge": {"coefficients": ridge.coef_.tolist(), "intercept": ridge.intercept_},
        "logistic": {"coefficients": logistic.coef_[0].tolist(), "intercept": logistic.intercept_[0]},
    }


def pipeline(estimator, y):
    raw = np.empty((N, 4), dtype=object)
    raw[:, :3], raw[:, 3] = numbers, carrier
    preprocess = ColumnTransformer([
        ("numbers", make_pipeline(SimpleImputer(strategy="mean"), StandardScaler()), [0, 1, 2]),
        ("text", OneHotEncoder(), [3]),
    ], sparse_threshold=0.0)
    return make_pipeline(preprocess, estimator).fit(raw, y), raw


ridge, raw = pipeline(Ridge(alpha=L2), arrival)
logistic, _ = pipeline(LogisticRegression(C=1.0 / L2, solver="newton-cholesky", tol=1e-14), late)
plain = estimators(np.ones(N))
plain["ridge"]["predictions"] = ridge.predict(raw).tolist()
plain["logistic"]["predictions"] = logistic.predict_proba(raw)[:, 1].tolist()

golden = {
    "l2": L2,
    "rows": {
        "distance": [None if np.isnan(v) else float(v) for v in numbers[:, 0]],
        "temperature": [None if np.isnan(v) else float(v) for v in numbers[:, 1]],
        "hour": [float(v) for v in numbers[:, 2]],
        "carrier": [c or None for c in carrier.tolist()],
        "arrival": arrival.tolist(),
        "late": late.tolist(),
        "weight": weights.tolist(),
    },
    "plain": plain,
    "weighted": estimators(weights),
}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(golden) + "\n")
