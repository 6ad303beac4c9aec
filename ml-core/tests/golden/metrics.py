"""Expected values of ml_core::metric, by scikit-learn. Writes metrics.json beside this file.

scikit-learn 1.9.1, numpy 2.4.6, Python 3. Run: python metrics.py
"""

import json
import pathlib

import numpy as np
from sklearn import metrics as m

rng = np.random.default_rng(20130101)


def binary(n, ties, weighted):
    labels = rng.random(n) < 0.3
    scores = np.clip(0.4 * labels + 0.6 * rng.random(n), 0, 1)
    if ties:
        scores = np.round(scores, 1)
    weights = np.where(rng.random(n) < 0.1, 0.0, rng.gamma(2.0, size=n)) if weighted else None
    decisions = scores >= 0.5
    w = {"sample_weight": weights}
    return {
        "labels": labels.tolist(),
        "probabilities": scores.tolist(),
        "weights": None if weights is None else weights.tolist(),
        "expected": {
            "accuracy": m.accuracy_score(labels, decisions, **w),
            "precision": m.precision_score(labels, decisions, **w),
            "recall": m.recall_score(labels, decisions, **w),
            "f1": m.f1_score(labels, decisions, **w),
            "roc_auc": m.roc_auc_score(labels, scores, **w),
            "average_precision": m.average_precision_score(labels, scores, **w),
            "log_loss": m.log_loss(labels, scores, **w),
            "brier": m.brier_score_loss(labels, scores, **w),
        },
    }


def regression(n, weighted):
    labels = rng.normal(100.0, 15.0, n)
    predicted = labels + rng.normal(1.0, 5.0, n)
    weights = rng.gamma(2.0, size=n) if weighted else None
    w = {"sample_weight": weights}
    return {
        "labels": labels.tolist(),
        "predicted": predicted.tolist(),
        "weights": None if weights is None else weights.tolist(),
        "expected": {
            "rmse": m.root_mean_squared_error(labels, predicted, **w),
            "mae": m.mean_absolute_error(labels, predicted, **w),
            "r2": m.r2_score(labels, predicted, **w),
        },
    }


cases = {
    "binary": [binary(n, ties, weighted) for n in (20, 150) for ties in (False, True) for weighted in (False, True)],
    "regression": [regression(n, weighted) for n in (5, 100) for weighted in (False, True)],
}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(cases, indent=1) + "\n")
