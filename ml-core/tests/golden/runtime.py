"""Writes runtime_*.onnx and runtime.json: small models and what ONNX Runtime gives for them.

Made with onnx 1.23.2, onnxruntime 1.32.0, scikit-learn 1.9.1, skl2onnx 1.20.0, numpy 2.4.6:
    python ml-core/tests/golden/runtime.py
The models of scikit-learn are those that skl2onnx exports; `regression` and `classes` are linear models after the usual
preparation. The others are built by hand, one for each corner of an operator that the specification leaves open.
"""

import json
import math
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = pathlib.Path(__file__).parent
ML = "ai.onnx.ml"
rng = np.random.default_rng(20130101)


def built(nodes, inputs, outputs, initializers=()):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "golden", [value(*i) for i in inputs], [value(*o) for o in outputs], list(initializers)
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="golden")
    onnx.checker.check_model(model)
    return model


def ml(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, domain=ML, **attributes)


def regression():
    x = rng.normal(size=(200, 4)).astype(np.float32) * [1, 10, 100, 0.01] + [0, 5, -300, 1]
    y = x @ [1.5, -0.3, 0.02, 40] + rng.normal(size=200)
    x[rng.random(x.shape) < 0.1] = np.nan
    fitted = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), Ridge(alpha=0.5)).fit(x, y)
    model = to_onnx(fitted, initial_types=[("x", FloatTensorType([None, 4]))], target_opset={"": 17, ML: 3})
    sample = x[:12].astype(np.float32)
    sample[10] = [np.inf, 0, 0, 0]
    sample[11] = [0, -np.inf, np.inf, np.nan]
    return model, {"x": sample}


def fitted_classes(count):
    """Coefficients of a logistic regression over two numbers and a carrier, and the columns they belong to."""
    numbers = rng.normal(size=(600, 2))
    carrier = rng.choice(["AA", "UA", "DL", "B6"], size=(600, 1))
    hidden = numbers @ [1.2, -0.7] + (carrier[:, 0] == "UA") * 1.5 + rng.normal(size=600)
    y = np.digitize(hidden, np.quantile(hidden, np.linspace(0, 1, count + 1)[1:-1]))
    scaler, encoder = StandardScaler().fit(numbers), OneHotEncoder().fit(carrier)
    columns = np.hstack([scaler.transform(numbers), encoder.transform(carrier).toarray()])
    model = LogisticRegression(C=10).fit(columns, y)
    return scaler, encoder, model


def classifier(count, transform):
    scaler, encoder, fitted = fitted_classes(count)
    coefficients, intercepts = fitted.coef_, fitted.intercept_
    if count == 2:
        coefficients, intercepts = np.vstack([-coefficients, coefficients]), np.array([-intercepts[0], intercepts[0]])
    carriers = list(encoder.categories_[0])
    nodes = [
        helper.make_node("Concat", ["delay", "distance"], ["numbers"], axis=1),
        ml("Imputer", ["numbers"], ["known"], imputed_value_floats=[0.25, -0.5], replaced_value_float=math.nan),
        ml("Scaler", ["known"], ["scaled"], offset=scaler.mean_, scale=1 / scaler.scale_),
        ml(
            "LabelEncoder",
            ["carrier"],
            ["code"],
            keys_strings=carriers,
            values_int64s=list(range(len(carriers))),
            default_int64=len(carriers),
        ),
        # One column more than the model has seen, for carriers that it has not.
        ml("OneHotEncoder", ["code"], ["hot3"], cats_int64s=list(range(len(carriers) + 1)), zeros=1),
        helper.make_node("Reshape", ["hot3", "shape"], ["hot"]),
        helper.make_node("Concat", ["scaled", "hot"], ["columns"], axis=1),
        ml(
            "LinearClassifier",
            ["columns"],
            ["label", "probabilities"],
            coefficients=np.hstack([coefficients, np.zeros((len(coefficients), 1))]).ravel(),
            intercepts=intercepts,
            classlabels_ints=list(range(count)),
            post_transform=transform,
        ),
    ]
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [-1, len(carriers) + 1])
    column = ["batch", 1]
    model = built(
        nodes,
        [("delay", TensorProto.FLOAT, column), ("distance", TensorProto.FLOAT, column), ("carrier", TensorProto.STRING, column)],
        [("label", TensorProto.INT64, ["batch"]), ("probabilities", TensorProto.FLOAT, ["batch", count])],
        [shape],
    )
    numbers = rng.normal(size=(12, 2)).astype(np.float32) * 3
    numbers[3, 0] = numbers[4, 1] = np.nan
    if transform != "SOFTMAX":
        numbers[5, 0], numbers[6, 0] = np.inf, -np.inf
    names = ["AA", "UA", "DL", "B6", "", "ZZ", "aa", "São Paulo", "AA", "UA", "DL", "B6"]
    return model, {
        "delay": numbers[:, :1],
        "distance": numbers[:, 1:],
        "carrier": np.array(names, dtype=object).reshape(-1, 1),
    }


def single(transform):
    """One sum for two classes, which the specification does not describe."""
    node = ml(
        "LinearClassifier",
        ["x"],
        ["label", "scores"],
        coefficients=[0.5, -0.25],
        intercepts=[0.125],
        classlabels_ints=[7, 9],
        post_transform=transform,
    )
    model = built(
        [node],
        [("x", TensorProto.FLOAT, ["batch", 2])],
        [("label", TensorProto.INT64, ["batch"]), ("scores", TensorProto.FLOAT, ["batch", 2])],
    )
    return model, {"x": np.array([[0, 0], [1, 2], [-3, 0.5], [np.nan, 0], [np.inf, 0], [-0.25, 0]], np.float32)}


def casts():
    nodes = [
        helper.make_node("Cast", ["count"], ["a"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["flag"], ["b"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["exact"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["a", "b", "c"], ["columns"], axis=-1),
        helper.make_node("Gemm", ["columns", "weights", "bias"], ["sums"], alpha=0.5, beta=2.0, transB=1),
        helper.make_node("Sigmoid", ["sums"], ["hidden"]),
        helper.make_node("Identity", ["hidden"], ["y"]),
        helper.make_node("Cast", ["c"], ["whole"], to=TensorProto.INT64),
    ]
    model = built(
        nodes,
        [
            ("count", TensorProto.INT64, ["batch", 1]),
            ("flag", TensorProto.BOOL, ["batch", 1]),
            ("exact", TensorProto.DOUBLE, ["batch", 1]),
        ],
        [("y", TensorProto.FLOAT, ["batch", 2]), ("whole", TensorProto.INT64, ["batch", 1])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [2, 3], [0.001, 0.5, -0.25, -0.002, 1, 0.125]),
            helper.make_tensor("bias", TensorProto.FLOAT, [2], [0.25, -0.5]),
        ],
    )
    return model, {
        "count": np.array([[3], [16777217], [-5], [0], [1]]),
        "flag": np.array([[True], [False], [True], [True], [False]]),
        "exact": np.array([[0.1], [-2.75], [1e300], [np.nan], [2.5]]),
    }


def duplicates():
    """Keys and categories that come twice, text that no key knows, and a default left out."""
    nodes = [
        ml("LabelEncoder", ["text"], ["code"], keys_strings=["a", "b", "a"], values_int64s=[1, 2, 3]),
        ml("OneHotEncoder", ["code"], ["hot3"], cats_int64s=[1, 2, 1, -1], zeros=1),
        helper.make_node("Reshape", ["hot3", "shape"], ["ints"]),
        ml("OneHotEncoder", ["text"], ["strings3"], cats_strings=["b", "a", "b"], zeros=1),
        helper.make_node("Reshape", ["strings3", "shape3"], ["strings"]),
        helper.make_node("Concat", ["ints", "strings"], ["columns"], axis=1),
        ml("Imputer", ["columns"], ["y"], imputed_value_floats=[5.0], replaced_value_float=0.0),
    ]
    model = built(
        nodes,
        [("text", TensorProto.STRING, ["batch", 1])],
        [("code", TensorProto.INT64, ["batch", 1]), ("y", TensorProto.FLOAT, ["batch", 7])],
        [
            helper.make_tensor("shape", TensorProto.INT64, [2], [0, 4]),
            helper.make_tensor("shape3", TensorProto.INT64, [2], [-1, 3]),
        ],
    )
    return model, {"text": np.array([["a"], ["b"], ["c"], [""]], dtype=object)}


DATATYPES = {"float32": "FP32", "float64": "FP64", "int64": "INT64", "bool": "BOOL", "object": "BYTES"}


def element(value):
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def tensor(name, array):
    # The shortest decimal that reads back as the same single-precision number.
    values = [float(str(v)) for v in array.ravel()] if array.dtype == np.float32 else array.ravel().tolist()
    data = [element(value) for value in values]
    return {"name": name, "shape": list(array.shape), "datatype": DATATYPES[array.dtype.name], "data": data}


cases = {
    "regression": regression(),
    "binary": classifier(2, "LOGISTIC"),
    "classes": classifier(3, "SOFTMAX"),
    "scores": classifier(3, "NONE"),
    "single_none": single("NONE"),
    "single_logistic": single("LOGISTIC"),
    "single_softmax": single("SOFTMAX"),
    "casts": casts(),
    "duplicates": duplicates(),
}
golden = []
for name, (model, inputs) in cases.items():
    model = model.SerializeToString()
    (HERE / f"runtime_{name}.onnx").write_bytes(model)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs = session.run(None, inputs)
    names = [output.name for output in session.get_outputs()]
    golden.append(
        {
            "model": name,
            "inputs": [tensor(*pair) for pair in inputs.items()],
            "outputs": [tensor(*pair) for pair in zip(names, outputs)],
        }
    )
lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in golden)
(HERE / "runtime.json").write_text(f"[\n{lines}\n]\n")
