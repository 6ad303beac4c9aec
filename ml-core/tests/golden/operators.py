"""Writes operators_*.onnx and operators.json: every form of the operators of ai.onnx.ml but trees, and what ONNX Runtime
gives for them.

Made with onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6:
    python ml-core/tests/golden/operators.py
Each model has many nodes over one input, with an output each.
"""

import json
import math
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
ML = "ai.onnx.ml"
TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "object": TensorProto.STRING,
}
TRANSFORMS = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]
rng = np.random.default_rng(20130101)


def numbers(*shape):
    return rng.normal(size=shape).astype(np.float32).round(2)


class Graph:
    """Nodes over the inputs that are given, with an output each."""

    def __init__(self, ml=3, **inputs):
        self.ml, self.inputs, self.nodes, self.outputs, self.constants = ml, inputs, [], [], []

    def constant(self, name, array):
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op, *inputs, outputs=1, name=None, **attributes):
        number = len(self.outputs)
        names = [f"{name or op}_{number}{'ab'[i] if outputs > 1 else ''}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs or list(self.inputs)[:1], names, domain=ML, **attributes))
        self.outputs += names

    def model(self):
        def info(name, array):
            return helper.make_tensor_value_info(name, TYPES[array.dtype.name], ["batch", *array.shape[1:]])

        def build(outputs):
            graph = helper.make_graph(
                self.nodes, "golden", [info(*i) for i in self.inputs.items()], outputs, self.constants
            )
            opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, self.ml)]
            return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="golden")

        # The shapes of the outputs are those that come out.
        loose = build([helper.make_empty_tensor_value_info(name) for name in self.outputs])
        session = onnxruntime.InferenceSession(loose.SerializeToString(), providers=["CPUExecutionProvider"])
        results = dict(zip(self.outputs, session.run(None, self.inputs)))
        return build([info(name, results[name]) for name in self.outputs])


def linear():
    graph = Graph(x=np.vstack([numbers(6, 3), [[0, 0, 0]]]).astype(np.float32))
    for transform in TRANSFORMS:
        for targets in [1, 2]:
            weights = numbers(targets * 3).tolist()
            graph.add("LinearRegressor", coefficients=weights, targets=targets, post_transform=transform)
        for classes, labels in [(2, {"classlabels_ints": [7, 3]}), (3, {"classlabels_strings": ["a", "b", "c"]})]:
            attributes = {"coefficients": numbers(classes * 3).tolist(), "intercepts": numbers(classes).tolist()}
            graph.add("LinearClassifier", outputs=2, post_transform=transform, **attributes, **labels)
        if transform != "PROBIT":
            for labels in [{"classlabels_ints": [7, 3]}, {"classlabels_strings": ["no", "yes"]}]:
                attributes = {"coefficients": [0.5, -1.0, 0.25], "intercepts": [0.125], **labels}
                graph.add("LinearClassifier", outputs=2, post_transform=transform, **attributes)
    graph.add("LinearRegressor", coefficients=[1.0, 2.0, 3.0], intercepts=[0.5], targets=1)
    graph.add("LinearRegressor", coefficients=[1.0, 2.0, 3.0], intercepts=[0.5, 4.0], targets=1)
    return graph


def vectors():
    """Support vector machines of every kernel, with and without probabilities, of two and of four classes."""
    graph = Graph(x=numbers(8, 3))
    kernels = [("LINEAR", [0.0, 0.0, 0.0]), ("POLY", [0.5, 1.0, 2.0]), ("RBF", [0.7, 0.0, 3.0]), ("SIGMOID", [0.3, 0.1, 3.0])]
    for kind, params in kernels:
        kernel = {"kernel_type": kind, "kernel_params": params}
        supports = {"support_vectors": numbers(4 * 3).tolist(), "coefficients": numbers(4).tolist(), "rho": [0.25]}
        graph.add("SVMRegressor", n_supports=4, **supports, **kernel)
        graph.add("SVMRegressor", n_supports=4, one_class=1, **supports, **kernel)
        for counts, labels in [([2, 1], [5, 2]), ([1, 2, 1, 2], [4, 3, 2, 1])]:
            classes, total = len(counts), sum(counts)
            between = classes * (classes - 1) // 2
            machine = {
                "vectors_per_class": counts,
                "support_vectors": numbers(total * 3).tolist(),
                "coefficients": numbers((classes - 1) * total).tolist(),
                "rho": numbers(between).tolist(),
                **kernel,
            }
            graph.add("SVMClassifier", outputs=2, classlabels_ints=labels, **machine)
            curves = {"prob_a": (-1 - numbers(between) ** 2).tolist(), "prob_b": numbers(between).tolist()}
            names = [f"class {label}" for label in labels]
            graph.add("SVMClassifier", outputs=2, classlabels_strings=names, **machine, **curves)
    return graph


def vector_transforms():
    graph = Graph(x=numbers(5, 2))
    kernel = {"kernel_type": "RBF", "kernel_params": [0.7, 0.0, 3.0]}
    for transform in TRANSFORMS:
        for counts in [[2, 1], [1, 2, 1]]:
            classes, total = len(counts), sum(counts)
            between = classes * (classes - 1) // 2
            machine = {
                "classlabels_ints": list(range(classes)),
                "vectors_per_class": counts,
                "support_vectors": numbers(total * 2).tolist(),
                "coefficients": numbers((classes - 1) * total).tolist(),
                "rho": numbers(between).tolist(),
                "post_transform": transform,
                **kernel,
            }
            # What ONNX Runtime gives for the probit of one sum is not all written.
            if classes > 2 or transform != "PROBIT":
                graph.add("SVMClassifier", outputs=2, **machine)
            curves = {"prob_a": [-1.0] * between, "prob_b": [0.1] * between}
            graph.add("SVMClassifier", outputs=2, **machine, **curves)
        # Without support vectors the coefficients are those of the columns.
        for weights in [[0.5, 0.25, 1.0, 0.75], [0.5, -0.25, -1.0, 0.75], [0.5, -1, 0.25, 1, 0.75, -0.5]]:
            labels = list(range(10, 10 + len(weights) // 2))
            machine = {"classlabels_ints": labels, "coefficients": weights, "rho": [0.125], "kernel_params": [0.0, 0.0, 0.0]}
            graph.add("SVMClassifier", outputs=2, post_transform=transform, **machine)
    graph.add("SVMRegressor", coefficients=[0.5, -2.0], rho=[0.25], kernel_params=[0.0, 0.0, 0.0])
    graph.add("SVMRegressor", coefficients=[0.5, -2.0], rho=[0.25], one_class=1, kernel_params=[0.0, 0.0, 0.0])
    return graph


def columns(dtype):
    """What changes columns of numbers, for a type of numbers."""
    x = np.array([[1, -2, 3], [0, 0, 0], [-1, -5, -3], [7, 2, 7]], dtype=dtype)
    if dtype == "float32":
        x = np.vstack([x, [[np.nan, 1.5, 2], [np.inf, -1.75, 2]]]).astype(dtype)
    graph = Graph(x=x)
    for norm in ["MAX", "L1", "L2"]:
        graph.add("Normalizer", norm=norm)
    graph.add("Scaler", offset=[1.0, 0.5, -2.0], scale=[2.0, 0.25, -1.0])
    graph.add("Scaler", offset=[1.0], scale=[3.0])
    graph.add("FeatureVectorizer", inputdimensions=[3])
    graph.add("FeatureVectorizer", "x", "x", "x", inputdimensions=[2, 3, 4])
    indices = graph.constant("indices", np.array([2, 0, 2], dtype=np.int64))
    graph.add("ArrayFeatureExtractor", "x", indices)
    if dtype in ("float32", "int64"):
        kind = {"float32": ("imputed_value_floats", "replaced_value_float"), "int64": ("imputed_value_int64s", "replaced_value_int64")}
        imputed, replaced = kind[dtype]
        for values, value in [([9, 8, 7], 7), ([5], 0)]:
            graph.add("Imputer", **{imputed: [x.dtype.type(v).item() for v in values], replaced: x.dtype.type(value).item()})
        if dtype == "float32":
            graph.add("Imputer", imputed_value_floats=[9.0, 8.0, 7.0], replaced_value_float=math.nan)
    if dtype != "int32":
        graph.add("OneHotEncoder", cats_int64s=[1, 7, -5, 0], zeros=1)
    graph.add("LinearClassifier", outputs=2, coefficients=[0.5, -1.0, 2.0], intercepts=[0.125], classlabels_ints=[0, 1])
    kernel = {"support_vectors": [1.0, 2.0, 3.0, -1.0, 0.0, 1.0], "kernel_type": "RBF", "kernel_params": [0.1, 0.0, 3.0]}
    graph.add(
        "SVMClassifier", outputs=2, coefficients=[1.0, -1.0], rho=[0.1], classlabels_ints=[0, 1], vectors_per_class=[1, 1], **kernel
    )
    return graph


def thresholds():
    graph = Graph(x=np.array([[0.5, -1, 2], [0, 1e-9, np.inf]], dtype=np.float32))
    graph.add("Binarizer")
    graph.add("Binarizer", threshold=0.75)
    return graph


def texts():
    x = np.array([["AA"], ["UA"], [""], ["São Paulo"], ["unseen"]], dtype=object)
    graph = Graph(x=x)
    graph.add("LabelEncoder", keys_strings=["AA", "UA", "AA"], values_int64s=[4, 5, 6], default_int64=-7)
    graph.add("LabelEncoder", keys_strings=["AA", "", "São Paulo"], values_floats=[0.5, 1.5, 2.5])
    graph.add("OneHotEncoder", cats_strings=["UA", "AA", "São Paulo"], zeros=1)
    graph.add("CategoryMapper", cats_strings=["UA", "AA", "AA"], cats_int64s=[3, 2, 1], default_int64=9)
    graph.add("ArrayFeatureExtractor", "x", graph.constant("indices", np.array([0, 0], dtype=np.int64)))
    return graph


def labels():
    graph = Graph(x=np.array([[1], [2], [-3], [0]], dtype=np.int64), y=np.array([[1], [-0.0], [np.nan], [2.5]], dtype=np.float32))
    graph.add("LabelEncoder", "x", keys_int64s=[1, 2, 1], values_strings=["one", "two", "uno"], default_string="many")
    graph.add("LabelEncoder", "x", keys_int64s=[1, 0], values_strings=["one", "none"])
    graph.add("LabelEncoder", "x", keys_int64s=[-3, 2], values_floats=[0.25, 0.5], default_float=-1.5)
    graph.add("LabelEncoder", "y", keys_floats=[0.0, 2.5, math.nan], values_strings=["zero", "more", "nan"])
    graph.add("LabelEncoder", "y", keys_floats=[1.0, 2.5], values_int64s=[10, 25])
    graph.add("CategoryMapper", "x", cats_strings=["a", "b", "c"], cats_int64s=[1, 2, 1])
    return graph


def labels_of_tensors():
    """The forms that version 4 of the operator set brought."""
    graph = Graph(
        ml=4,
        s=np.array([["a"], ["b"], ["c"]], dtype=object),
        i=np.array([[1], [2], [3]], dtype=np.int64),
        f=np.array([[1.5], [np.nan], [-0.0]], dtype=np.float32),
        d=np.array([[1.5], [np.nan], [0.25]], dtype=np.float64),
    )
    graph.add("LabelEncoder", "f", keys_floats=[1.5, math.nan, 0.0], values_floats=[3.0, 4.0, 5.0])
    graph.add("LabelEncoder", "i", keys_int64s=[1, 2], values_int64s=[20, 10])
    graph.add("LabelEncoder", "s", keys_strings=["a", "b"], values_strings=["x", "y"])

    def of(array):
        return numpy_helper.from_array(np.array(array), "")

    keys, values = of(np.array([1.5, math.nan])), of(np.array([-1.5, 8.0]))
    graph.add("LabelEncoder", "d", keys_tensor=keys, values_tensor=values, default_tensor=of(np.array([7.0])))
    shorts = of(np.array([4, 5], dtype=np.int16))
    default = of(np.array([6], dtype=np.int16))
    strings = helper.make_tensor("", TensorProto.STRING, [2], [b"b", b"c"])
    graph.add("LabelEncoder", "s", keys_tensor=strings, values_tensor=shorts, default_tensor=default)
    return graph


def old_labels():
    """The form before version 2 of the operator set."""
    graph = Graph(ml=1, s=np.array([["a"], ["b"], ["c"]], dtype=object), i=np.array([[0], [1], [5]], dtype=np.int64))
    attributes = {"classes_strings": ["b", "a", "b"], "default_int64": -2, "default_string": "?"}
    graph.add("LabelEncoder", "s", **attributes)
    graph.add("LabelEncoder", "i", **attributes)
    return graph


# What is written.

TYPES["int16"] = TensorProto.INT16
DATATYPES = {
    "float32": "FP32", "float64": "FP64", "int64": "INT64", "int32": "INT32", "int16": "INT16", "object": "BYTES"
}


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
    "linear": linear(),
    "vectors": vectors(),
    "vector_transforms": vector_transforms(),
    "columns_fp32": columns("float32"),
    "columns_fp64": columns("float64"),
    "columns_int64": columns("int64"),
    "columns_int32": columns("int32"),
    "thresholds": thresholds(),
    "texts": texts(),
    "labels": labels(),
    "labels_of_tensors": labels_of_tensors(),
    "old_labels": old_labels(),
}
golden = []
for name, graph in cases.items():
    # Where ONNX Runtime has no kernel for a type, there is no node of it.
    model = graph.model().SerializeToString()
    (HERE / f"operators_{name}.onnx").write_bytes(model)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs = session.run(None, graph.inputs)
    golden.append(
        {
            "model": name,
            "inputs": [tensor(*pair) for pair in graph.inputs.items()],
            "outputs": [tensor(*pair) for pair in zip(graph.outputs, outputs)],
        }
    )
lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in golden)
(HERE / "operators.json").write_text(f"[\n{lines}\n]\n")
