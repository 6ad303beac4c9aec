"""Writes import_xgboost_*.{json,ubj} and import_xgboost.json: XGBoost models and what XGBoost predicts with them.

Made with xgboost 3.2.0, numpy 2.4.6:
    python ml-core/tests/golden/import_xgboost.py
The models named old_* are from xgboost 1.7.6, which wrote them with the argument `old`; those are read here.
The rows have every threshold and both its neighbors in single precision, zeros of both signs, denormals, missing values,
and categories that are negative, broken, unseen or too large. XGBoost takes no infinities.
"""

import json
import math
import pathlib
import sys

import numpy as np
import xgboost

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(20130101)

COLUMNS, CODES = 4, 1
x = rng.normal(size=(400, COLUMNS)).astype(np.float32).round(2)
x[:, CODES] = rng.integers(0, 20, size=400)
x[rng.random(x.shape) < 0.1] = np.nan
hidden = np.nan_to_num(x[:, 0]) + np.isin(x[:, CODES], [0, 1, 4, 5, 6, 13]) * 2 + np.nan_to_num(x[:, 2] * x[:, 3])
hidden += 0.1 * rng.normal(size=400)
two = (hidden > 0.5).astype(int)
three = np.digitize(hidden, [0, 1.5])
amount = np.exp(hidden / 3)

SPECIAL = [0.0, -0.0, 1e-45, -1e-45, math.nan, 3e38, -3e38]
CATEGORIES = [0, 0.5, 1, 1.9, 4, 6.99, 13, 19, 20, 500, 16777215.0]
NAMES = ["miles", "zone", "delay", "load"]


def rows(model, codes):
    booster = model["learner"]["gradient_booster"]
    trees = booster.get("gbtree", booster)["model"].get("trees", [])
    values = []
    for column in range(COLUMNS):
        near = [
            t["split_conditions"][i]
            for t in trees
            for i in range(len(t["left_children"]))
            if t["left_children"][i] != -1 and t["split_indices"][i] == column and t["split_type"][i] == 0
        ]
        near = np.array(near, np.float32)
        near = np.concatenate([near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))])
        if codes and column == CODES:
            values.append(np.array(CATEGORIES + [math.nan], np.float32))
        else:
            values.append(np.concatenate([near, np.array(SPECIAL, np.float32)]))
    count = min(max(len(v) for v in values), 40)
    columns = [rng.permutation(np.resize(rng.permutation(v), count)) for v in values]
    return np.concatenate([x[:16], np.column_stack(columns), [[np.nan] * COLUMNS, [0] * COLUMNS]]).astype(np.float32)


def matrix(values, codes, label=None, **more):
    kinds = ["c" if codes and column == CODES else "q" for column in range(COLUMNS)]
    return xgboost.DMatrix(values, label, feature_names=NAMES, feature_types=kinds, enable_categorical=codes, **more)


def train(label, rounds=4, codes=False, early=None, more=None, **params):
    params = {"max_depth": 3, "seed": 1, "nthread": 1, "tree_method": "hist"} | params
    data = matrix(x, codes, label, **(more or {}))
    if early is None:
        return xgboost.train(params, data, rounds), codes
    watched = matrix(x[::-1], codes, early)
    stop = xgboost.callback.EarlyStopping(rounds=2)
    return xgboost.train(params, data, rounds, evals=[(watched, "v")], callbacks=[stop], verbose_eval=False), codes


old = {
    "old_logistic": ({"objective": "binary:logistic", "base_score": 0.3, "max_cat_to_onehot": 1}, two, True),
    "old_poisson": ({"objective": "count:poisson", "booster": "dart", "rate_drop": 0.5}, amount, False),
    "old_classes": ({"objective": "multi:softprob", "num_class": 3}, three, False),
}
if sys.argv[1:] == ["old"]:
    for name, (params, label, codes) in old.items():
        booster, _ = train(label, rounds=3, codes=codes, **params)
        (HERE / f"import_xgboost_{name}.json").write_bytes(bytes(booster.save_raw("json")))
    sys.exit()

cases = {
    "regression": train(hidden, objective="reg:squarederror"),
    "absolute": train(hidden, objective="reg:absoluteerror", rounds=3),
    "squared_log": train(amount, objective="reg:squaredlogerror", rounds=3),
    "quantiles": train(hidden, objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9], rounds=2),
    "targets": train(np.column_stack([hidden, amount]), objective="reg:squarederror", rounds=2),
    "reg_logistic": train(two * 0.7 + 0.1, objective="reg:logistic", rounds=3),
    "logistic": train(two, objective="binary:logistic", base_score=0.3),
    "raw": train(two, objective="binary:logitraw", rounds=3),
    "hinge": train(two, objective="binary:hinge", rounds=3),
    "softprob": train(three, objective="multi:softprob", num_class=3, rounds=3),
    "softmax": train(three, objective="multi:softmax", num_class=3, rounds=2),
    "poisson": train(amount, objective="count:poisson", rounds=3),
    "gamma": train(amount, objective="reg:gamma", rounds=3),
    "tweedie": train(amount, objective="reg:tweedie", rounds=3, base_score=0.8),
    "ranking": train(three, objective="rank:ndcg", rounds=3, more={"qid": np.repeat(np.arange(20), 20)}),
    "dart": train(hidden, objective="reg:squarederror", booster="dart", rate_drop=0.5, rounds=5),
    "forest": train(three, objective="multi:softprob", num_class=3, num_parallel_tree=2, rounds=2, subsample=0.6),
    "sets": train(hidden, objective="reg:squarederror", codes=True, max_cat_to_onehot=1),
    "one_hot": train(two, objective="binary:logistic", codes=True, max_cat_to_onehot=100),
    "one_leaf": train(hidden, objective="reg:squarederror", rounds=2, gamma=1e9),
    "no_rounds": train(hidden, objective="reg:squarederror", rounds=0, base_score=0.75),
    "pruned": train(hidden, objective="reg:squarederror", rounds=2, tree_method="exact", gamma=8.0),
    "stopped": train(hidden, objective="reg:squarederror", rounds=30, early=hidden[::-1] * 0.6, learning_rate=0.9),
    "always_yes": train(np.ones(400), objective="binary:logistic", rounds=2, base_score=0.5),
}

for name, (_, _, codes) in old.items():
    cases[name] = xgboost.Booster(model_file=HERE / f"import_xgboost_{name}.json"), codes


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
    raw = (HERE / f"import_xgboost_{name}.json").read_bytes() if name in old else bytes(booster.save_raw("json"))
    model = json.loads(raw)
    (HERE / f"import_xgboost_{name}.json").write_bytes(raw)
    if name in ("regression", "dart", "softprob", "sets"):
        (HERE / f"import_xgboost_{name}.ubj").write_bytes(bytes(booster.save_raw("ubj")))
    inputs = rows(model, codes)
    data = matrix(inputs, codes)
    scores = booster.predict(data)
    objective = model["learner"]["objective"]["name"]
    if objective == "binary:logistic":
        outputs = {"label": (scores > 0.5).astype(np.int64), "probabilities": np.column_stack([1 - scores, scores])}
    elif objective == "multi:softprob":
        outputs = {"label": scores.argmax(1), "probabilities": scores}
    elif objective == "multi:softmax":
        margin = booster.predict(data, output_margin=True).astype(np.float64)
        shares = np.exp(margin - margin.max(1, keepdims=True))
        outputs = {"label": scores.astype(np.int64), "probabilities": (shares / shares.sum(1, keepdims=True))}
    else:
        outputs = {"prediction": scores.reshape(len(inputs), -1)}
    outputs = {n: a if a.dtype == np.int64 else a.astype(np.float32) for n, a in outputs.items()}
    case = {
        "model": name,
        "inputs": [tensor("features", inputs)],
        "outputs": [tensor(*pair) for pair in outputs.items()],
    }
    if name == "stopped":
        assert 0 < booster.best_iteration < booster.num_boosted_rounds() - 1
        best = booster.predict(data, iteration_range=(0, booster.best_iteration + 1)).reshape(-1, 1)
        case["best"] = [tensor("prediction", best)]
    golden.append(case)
lines = ",\n".join(json.dumps(case) for case in golden)
(HERE / "import_xgboost.json").write_text(f"[\n{lines}\n]\n")
