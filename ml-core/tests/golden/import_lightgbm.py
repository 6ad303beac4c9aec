"""Writes import_lightgbm_*.txt and import_lightgbm.json: LightGBM models and what LightGBM predicts with them.

Made with lightgbm 4.7.0, numpy 2.4.6:
    python ml-core/tests/golden/import_lightgbm.py
The rows have every threshold and both its neighbors in single precision, zeros of both signs and near-zeros, missing values,
infinities, and categories that are negative, broken, unseen or too large.
"""

import json
import math
import pathlib

import lightgbm
import numpy as np

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(20130101)

COLUMNS, CODES = 4, 1
x = rng.normal(size=(600, COLUMNS)).astype(np.float32).round(2)
x[:, CODES] = rng.integers(0, 70, size=600)
x[rng.random(600) < 0.3, 2] = 0
x[rng.random(x.shape) < 0.1] = np.nan
hidden = np.nan_to_num(x[:, 0]) + np.isin(x[:, CODES], [0, 1, 4, 5, 6, 33, 64, 66]) * 2 + np.nan_to_num(x[:, 2] * x[:, 3])
hidden += 0.1 * rng.normal(size=600)
two = (hidden > 0.5).astype(int)
three = np.digitize(hidden, [0, 1.5])
amount = np.exp(hidden / 3)


def thresholds(booster):
    found = [[] for _ in range(COLUMNS)]

    def walk(node):
        if "split_feature" in node:
            if isinstance(node["threshold"], float):
                found[node["split_feature"]].append(node["threshold"])
            walk(node["left_child"])
            walk(node["right_child"])

    for tree in booster.dump_model()["tree_info"]:
        walk(tree["tree_structure"])
    return found


SPECIAL = [0.0, -0.0, 1e-35, 1.1e-35, -1e-35, -1.1e-35, 1e-45, math.nan, math.inf, -math.inf, 3e38, -3e38]
CATEGORIES = [0, 0.5, -0.5, -0.999, -1, -7, 1, 1.9, 4, 6.99, 33, 64, 66.5, 69, 70, 500, 2.0**31, 3e9, 1e20]


def rows(booster, codes):
    found = thresholds(booster)
    values = []
    for column in range(COLUMNS):
        near = np.array(found[column], np.float32)
        near = np.concatenate([near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))])
        extra = CATEGORIES if codes and column == CODES else []
        values.append(np.concatenate([near, np.array(SPECIAL + extra, np.float32)]))
    count = min(max(len(v) for v in values), 60)
    columns = [rng.permutation(np.resize(rng.permutation(v), count)) for v in values]
    edge = np.column_stack(columns).astype(np.float32)
    return np.concatenate([x[:16], edge, [[np.nan] * COLUMNS, [0] * COLUMNS]]).astype(np.float32)


def train(label, rounds=6, codes=False, group=None, **params):
    params = {"num_leaves": 7, "verbose": -1, "seed": 1, "min_data_in_leaf": 10, "num_threads": 1} | params
    data = lightgbm.Dataset(
        x.astype(np.float64), label, categorical_feature=[CODES] if codes else [], group=group,
        feature_name=["miles", "zone", "delay", "load"],
    )
    return lightgbm.train(params, data, rounds), codes


def halves(scores, data):
    """The gradient of a function of the owner: a model without an objective."""
    return scores - data.get_label(), np.ones_like(scores)


SETS = {"codes": True, "max_cat_to_onehot": 1, "cat_smooth": 1, "cat_l2": 1, "min_data_per_group": 5}
BAGGING = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}
cases = {
    "regression": train(hidden, objective="regression"),
    "zero_as_missing": train(hidden, objective="regression", zero_as_missing=True),
    "no_missing": train(hidden, objective="regression", use_missing=False),
    "sets": train(hidden, objective="regression", rounds=5, **SETS),
    "one_hot": train(hidden, objective="regression", codes=True, max_cat_to_onehot=100, min_data_per_group=5),
    "sets_binary": train(two, objective="binary", rounds=5, **SETS),
    "binary": train(two, objective="binary", sigmoid=1.7),
    "always_yes": train(np.minimum(two + (np.arange(600) % 3 > 0), 1), objective="binary", rounds=2, learning_rate=0.01),
    "multiclass": train(three, objective="multiclass", num_class=3, rounds=4),
    "one_versus_all": train(three, objective="multiclassova", num_class=3, rounds=4, sigmoid=0.8),
    "poisson": train(amount, objective="poisson", rounds=4),
    "gamma": train(amount, objective="gamma", rounds=3),
    "tweedie": train(amount, objective="tweedie", rounds=3, zero_as_missing=True),
    "quantile": train(hidden, objective="quantile", alpha=0.8, rounds=3),
    "mae": train(hidden, objective="mae", rounds=3),
    "huber": train(hidden, objective="huber", rounds=3),
    "root": train(hidden * 5, objective="regression", reg_sqrt=True, rounds=4),
    "cross_entropy": train(two * 0.7 + 0.1, objective="cross_entropy", rounds=3),
    "cross_entropy_lambda": train(two * 0.7 + 0.1, objective="cross_entropy_lambda", rounds=3),
    "ranking": train(three, objective="lambdarank", rounds=3, group=[20] * 30),
    "forest": train(hidden, objective="regression", **BAGGING),
    "forest_binary": train(two, objective="binary", **BAGGING),
    "dart": train(hidden, objective="regression", boosting="dart", drop_rate=0.9),
    "one_leaf": train(hidden, objective="regression", rounds=2, min_data_in_leaf=10_000),
    "custom": train(hidden, objective=halves, rounds=3),
}


def element(value):
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def tensor(name, array):
    # The shortest decimal that reads back as the same single-precision number.
    values = [float(str(v)) for v in array.ravel()] if array.dtype == np.float32 else array.ravel().tolist()
    datatype = {"float32": "FP32", "int64": "INT64"}[array.dtype.name]
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": [element(v) for v in values]}


golden = []
for name, (booster, codes) in cases.items():
    text = booster.model_to_string()
    # The parameters of the training are not read.
    head, tail = text.split("\nparameters:\n")
    text = head + tail[tail.index("\npandas_categorical") :]
    with open(HERE / f"import_lightgbm_{name}.txt", "w", newline="\n") as file:
        file.write(text)
    inputs = rows(booster, codes)
    if name in ("one_versus_all", "multiclass", "gamma", "tweedie", "mae", "huber"):
        inputs = np.concatenate([inputs[:16], inputs[-24:]])
    scores = np.asarray(lightgbm.Booster(model_str=text).predict(inputs.astype(np.float64)))
    objective = booster.dump_model().get("objective", "")
    if objective.startswith("binary"):
        outputs = {"label": (scores > 0.5).astype(np.int64), "probabilities": np.column_stack([1 - scores, scores])}
    elif objective.startswith("multiclass"):
        outputs = {"label": scores.argmax(1), "probabilities": scores}
    else:
        outputs = {"prediction": scores.reshape(len(inputs), -1)}
    outputs = {n: a if a.dtype == np.int64 else a.astype(np.float32) for n, a in outputs.items()}
    golden.append(
        {
            "model": name,
            "inputs": [tensor("features", inputs)],
            "outputs": [tensor(*pair) for pair in outputs.items()],
        }
    )
lines = ",\n".join(json.dumps(case) for case in golden)
(HERE / "import_lightgbm.json").write_text(f"[\n{lines}\n]\n")
