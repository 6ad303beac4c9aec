"""Writes pipelines_*.onnx and pipelines.json: pipelines of scikit-learn with columns of numbers and of text, and what ONNX
Runtime gives for them.

Made with onnx 1.23.2, onnxruntime 1.32.0, scikit-learn 1.9.1, skl2onnx 1.20.0, lightgbm 4.7.0, onnxmltools 1.16.0,
numpy 2.4.6, pandas 3.1.1:
    python ml-core/tests/golden/pipelines.py
The models whose name ends in `zipmap` give a map from class to probability for each row; what is written for it is a column a
class.
"""

import json
import math
import pathlib
import warnings

import lightgbm
import numpy as np
import onnxruntime
import pandas
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC, OneClassSVM

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
ML = "ai.onnx.ml"
ROWS = 400
rng = np.random.default_rng(20130101)

table = pandas.DataFrame(
    {
        "distance": rng.normal(500, 200, ROWS).astype(np.float32).round(1),
        "delay": rng.normal(0, 20, ROWS).astype(np.float32).round(1),
        "seats": rng.integers(-4, 5, ROWS),
        "carrier": rng.choice(["AA", "UA", "DL", ""], ROWS),
        "origin": rng.choice(["São Paulo", "AA", "DL"], ROWS),
    }
)
NUMBERS, INTS, TEXTS = ["distance", "delay"], ["seats"], ["carrier", "origin"]
hidden = (table.distance - 500) / 200 + (table.carrier == "UA") * 1.5 - table.seats * 0.2 + rng.normal(0, 0.3, ROWS)
two = (hidden > 0.3).astype(int)
three = np.digitize(hidden, [-0.4, 0.8])
names = np.array(["late", "normal", "early"])[three]
gaps = table.copy()
gaps.loc[rng.random(ROWS) < 0.1, "distance"] = np.nan

update_registered_converter(
    lightgbm.LGBMClassifier,
    "LightGbmLGBMClassifier",
    calculate_linear_classifier_output_shapes,
    convert_lightgbm,
    options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
)


def prepared(model, numbers=None, text=None):
    parts = [
        ("numbers", numbers or make_pipeline(SimpleImputer(strategy="mean"), StandardScaler()), NUMBERS),
        ("ints", StandardScaler(), INTS),
        ("texts", text or OneHotEncoder(handle_unknown="ignore"), TEXTS),
    ]
    return Pipeline([("columns", ColumnTransformer(parts)), ("model", model)])


def table_model(model, y, zipmap=None, data=table, **parts):
    pipeline = prepared(model, **parts).fit(data, y)
    types = [(name, FloatTensorType([None, 1])) for name in NUMBERS]
    types += [(name, Int64TensorType([None, 1])) for name in INTS]
    types += [(name, StringTensorType([None, 1])) for name in TEXTS]
    options = None if zipmap is None else {id(model): {"zipmap": zipmap}}
    converted = to_onnx(pipeline, initial_types=types, target_opset={"": 17, ML: 3}, options=options)
    sample = data.iloc[:8].copy()
    sample.loc[6, "carrier"] = "unseen"
    inputs = {name: sample[[name]].to_numpy() for name in NUMBERS + INTS + TEXTS}
    return converted, {k: v.astype(object) if k in TEXTS else v for k, v in inputs.items()}


x = rng.normal(size=(ROWS, 4)).astype(np.float32).round(2)
y = x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(0, 0.3, ROWS)
y2, y3 = (y > 0).astype(int), np.digitize(y, [-0.7, 0.7])


def matrix_model(model, target, zipmap=None, opset=17):
    model.fit(x, target)
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    options = None if zipmap is None else {id(last): {"zipmap": zipmap}}
    types = [("x", FloatTensorType([None, x.shape[1]]))]
    return to_onnx(model, initial_types=types, target_opset={"": opset, ML: 3}, options=options), {"x": x[:8]}


SMALL = {"n_estimators": 5, "max_depth": 3, "random_state": 0}
NET = {"hidden_layer_sizes": (8, 8), "max_iter": 60, "random_state": 0}
cases = {
    "boosting": table_model(GradientBoostingRegressor(**SMALL), hidden),
    "boosting_gaps": table_model(GradientBoostingClassifier(**SMALL), two, False, gaps),
    "boosting_zipmap": table_model(GradientBoostingClassifier(**SMALL), two, True),
    "lightgbm_classes": table_model(lightgbm.LGBMClassifier(n_estimators=4, num_leaves=6, verbose=-1), three, False),
    "forest_ordinal": table_model(
        RandomForestClassifier(**SMALL), two, False, text=OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    ),
    "logistic": table_model(LogisticRegression(), two, False),
    "logistic_names": table_model(LogisticRegression(), names, False),
    "logistic_zipmap": table_model(LogisticRegression(), names, True),
    "ridge": table_model(Ridge(), hidden, numbers=make_pipeline(SimpleImputer(strategy="median"), RobustScaler())),
    "svc": table_model(SVC(probability=True, random_state=0, C=0.05), three, False),
    "svr": table_model(SVR(C=0.2), hidden),
    "min_max": matrix_model(make_pipeline(MinMaxScaler(), LogisticRegression()), y3, False),
    "normalized": matrix_model(make_pipeline(Normalizer(), MaxAbsScaler(), Ridge()), y),
    "bins": matrix_model(make_pipeline(KBinsDiscretizer(4, encode="ordinal", quantile_method="averaged_inverted_cdf"), LogisticRegression()), y2, False),
    "binarized": matrix_model(make_pipeline(Binarizer(threshold=0.2), SGDClassifier(loss="log_loss", random_state=0)), y2, False),
    "selected": matrix_model(make_pipeline(SelectKBest(k=2), GaussianNB()), y3, False),
    "polynomials": matrix_model(make_pipeline(PolynomialFeatures(2), StandardScaler(), Ridge()), y),
    "net": matrix_model(make_pipeline(StandardScaler(), MLPClassifier(**NET)), y3, False),
    "net_two": matrix_model(MLPClassifier(activation="tanh", **NET), y2, False),
    "net_regressor": matrix_model(MLPRegressor(activation="logistic", **NET), y),
    "linear_svc": matrix_model(LinearSVC(random_state=0), y3),
    "svc_scores": matrix_model(SVC(kernel="poly", C=0.05), y2, False),
    "nu_svc": matrix_model(NuSVC(kernel="sigmoid", nu=0.1), y3),
    "outliers": matrix_model(OneClassSVM(nu=0.05), y),
    "old_set": matrix_model(make_pipeline(StandardScaler(), LogisticRegression()), y3, False, 11),
}

# What is written.

DATATYPES = {"float32": "FP32", "float64": "FP64", "int64": "INT64", "int32": "INT32", "object": "BYTES", "bool": "BOOL"}


def element(value):
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def tensor(name, array):
    if isinstance(array, list):
        array = np.array([list(row.values()) for row in array], dtype=np.float32)
    # The shortest decimal that reads back as the same single-precision number.
    values = [float(str(v)) for v in array.ravel()] if array.dtype == np.float32 else array.ravel().tolist()
    data = [element(value) for value in values]
    return {"name": name, "shape": list(array.shape), "datatype": DATATYPES[array.dtype.name], "data": data}


if __name__ == "__main__":
    golden = []
    for name, (model, inputs) in cases.items():
        model = model.SerializeToString()
        (HERE / f"pipelines_{name}.onnx").write_bytes(model)
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        outputs = session.run(None, inputs)
        outputs_of = [output.name for output in session.get_outputs()]
        golden.append(
            {
                "model": name,
                "inputs": [tensor(*pair) for pair in inputs.items()],
                "outputs": [tensor(*pair) for pair in zip(outputs_of, outputs)],
            }
        )
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in golden)
    (HERE / "pipelines.json").write_text(f"[\n{lines}\n]\n")
