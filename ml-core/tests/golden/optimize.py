"""Writes optimize_*.onnx and optimize.json: small models, rows to measure them on, and how ONNX Runtime quantizes them.

Made with onnx 1.23.2, onnxruntime 1.32.0, scikit-learn 1.9.1, numpy 2.4.6:
    python ml-core/tests/golden/optimize.py
`mlp` and `conv` tell the handwritten digits of scikit-learn apart (1,200 rows to learn from, 200 others to measure on);
`encoder` is a transformer of two layers as exporters write it, with random weights. For each of them: the size, the
accuracy and the cosine of the outputs with the original's after `quantize_dynamic(per_channel=True)` and after
`quantize_static` in the QDQ format, calibrated on 100 of the rows to learn from.
"""

import json
import pathlib
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(19980601)


def model(name, nodes, inputs, outputs, constants):
    value = helper.make_tensor_value_info
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, name, [value(*i) for i in inputs], [value(*o) for o in outputs], initializers)
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="golden"
    )
    onnx.checker.check_model(made, full_check=True)
    return made


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=f"{op.lower()}_{outputs[0]}", **attributes)


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
CLASSES = [("label", INT64, ["batch"]), ("probabilities", FLOAT, ["batch", 10])]


def mlp(x, y):
    fitted = MLPClassifier((64, 48), max_iter=80, random_state=7).fit(x, y)
    (w1, w2, w3), (b1, b2, b3) = fitted.coefs_, fitted.intercepts_
    constants = {"w1": w1.T, "b1": b1, "w2": w2 * 2, "b2": b2 * 4, "w3": w3, "b3": b3}
    nodes = [
        node("Gemm", ["x", "w1", "b1"], ["h1"], transB=1),
        node("Relu", ["h1"], ["r1"]),
        node("Gemm", ["r1", "w2", "b2"], ["h2"], alpha=0.5, beta=0.25),
        node("Relu", ["h2"], ["r2"]),
        node("MatMul", ["r2", "w3"], ["m3"]),
        node("Add", ["m3", "b3"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
        node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    constants = {name: array.astype(np.float32) for name, array in constants.items()}
    return model("mlp", nodes, [("x", FLOAT, ["batch", 64])], CLASSES, constants)


def conv(x, y):
    """Filters as they come by chance, and a last layer that is fitted to what they give."""
    constants = {
        "image": np.array([0, 1, 8, 8]),
        "k1": rng.normal(size=(24, 1, 3, 3), scale=0.3),
        "c1": rng.normal(size=24, scale=0.1),
        "k2": rng.normal(size=(40, 24, 3, 3), scale=0.1),
        "c2": rng.normal(size=40, scale=0.1),
    }
    nodes = [
        node("Reshape", ["x", "image"], ["pixels"]),
        node("Conv", ["pixels", "k1", "c1"], ["f1"], pads=[1, 1, 1, 1]),
        node("Relu", ["f1"], ["g1"]),
        node("MaxPool", ["g1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p1", "k2", "c2"], ["f2"], pads=[1, 1, 1, 1]),
        node("Relu", ["f2"], ["g2"]),
        node("AveragePool", ["g2"], ["p2"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["p2"], ["features"]),
    ]
    types = {"image": np.int64}
    constants = {name: array.astype(types.get(name, np.float32)) for name, array in constants.items()}
    body = model("conv", nodes, [("x", FLOAT, ["batch", 64])], [("features", FLOAT, ["batch", 160])], constants)
    features = session(body).run(None, {"x": x})[0]
    fitted = LogisticRegression(C=0.5, max_iter=2000).fit(features, y)
    constants |= {"w": fitted.coef_.astype(np.float32), "b": fitted.intercept_.astype(np.float32)}
    nodes += [
        node("Gemm", ["features", "w", "b"], ["logits"], transB=1),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
        node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    return model("conv", nodes, [("x", FLOAT, ["batch", 64])], CLASSES, constants)


def encoder(layers=2, hidden=32, heads=4, vocabulary=64, positions=12):
    """As exporters write it: shapes computed from the input, weights transposed where they are used."""
    c = {
        "words": rng.normal(size=(vocabulary, hidden), scale=0.5),
        "places": rng.normal(size=(positions, hidden), scale=0.5),
        "zero": np.array(0),
        "one": np.array(1),
        "first": np.array([0]),
        "split": np.array([heads, hidden // heads]),
        "whole": np.array([hidden]),
        "root": np.array((hidden // heads) ** 0.5),
    }
    nodes = [
        node("Gather", ["words", "ids"], ["embedded"]),
        node("Shape", ["ids"], ["size"]),
        node("Gather", ["size", "one"], ["length"]),
        node("Range", ["zero", "length", "one"], ["order"]),
        node("Gather", ["places", "order"], ["placed"]),
        node("Add", ["embedded", "placed"], ["h0"]),
        node("Slice", ["size", "first", "two"], ["ahead"]),
        node("Concat", ["ahead", "split"], ["heads"], axis=0),
        node("Concat", ["ahead", "whole"], ["joined"], axis=0),
    ]
    c["two"] = np.array([2])

    def dense(x, y, wide_in, wide_out, transposed):
        weight = rng.normal(size=(wide_in, wide_out), scale=1 / np.sqrt(wide_in))
        weight[:, 0] *= 3  # one column larger than the others, as trained encoders have
        c[f"{y}_b"] = rng.normal(size=wide_out, scale=0.05)
        if transposed:
            c[f"{y}_w"] = weight.T
            nodes.append(node("Transpose", [f"{y}_w"], [f"{y}_wt"], perm=[1, 0]))
        else:
            c[f"{y}_w"] = weight
        nodes.append(node("MatMul", [x, f"{y}_wt" if transposed else f"{y}_w"], [f"{y}_m"]))
        nodes.append(node("Add", [f"{y}_m", f"{y}_b"], [y]))

    def normal(x, y):
        """Written out, as exporters did before LayerNormalization."""
        c[f"{y}_g"], c[f"{y}_s"] = rng.normal(1, 0.05, size=hidden), rng.normal(size=hidden, scale=0.05)
        c["square"], c["least"] = np.array(2.0), np.array(1e-5)
        nodes.extend([
            node("ReduceMean", [x], [f"{y}_mean"], axes=[-1]),
            node("Sub", [x, f"{y}_mean"], [f"{y}_centered"]),
            node("Pow", [f"{y}_centered", "square"], [f"{y}_squares"]),
            node("ReduceMean", [f"{y}_squares"], [f"{y}_variance"], axes=[-1]),
            node("Add", [f"{y}_variance", "least"], [f"{y}_positive"]),
            node("Sqrt", [f"{y}_positive"], [f"{y}_deviation"]),
            node("Div", [f"{y}_centered", f"{y}_deviation"], [f"{y}_unit"]),
            node("Mul", [f"{y}_unit", f"{y}_g"], [f"{y}_scaled"]),
            node("Add", [f"{y}_scaled", f"{y}_s"], [y]),
        ])

    for i in range(layers):
        h = f"h{i}"
        for part in "qkv":
            dense(h, f"{part}{i}", hidden, hidden, transposed=part == "v")
            nodes.append(node("Reshape", [f"{part}{i}", "heads"], [f"{part}{i}_h"]))
            order = [0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]
            nodes.append(node("Transpose", [f"{part}{i}_h"], [f"{part}{i}_t"], perm=order))
        nodes.extend([
            node("MatMul", [f"q{i}_t", f"k{i}_t"], [f"a{i}_raw"]),
            node("Div", [f"a{i}_raw", "root"], [f"a{i}_scaled"]),
            node("Softmax", [f"a{i}_scaled"], [f"a{i}"], axis=-1),
            node("MatMul", [f"a{i}", f"v{i}_t"], [f"z{i}_h"]),
            node("Transpose", [f"z{i}_h"], [f"z{i}_t"], perm=[0, 2, 1, 3]),
            node("Reshape", [f"z{i}_t", "joined"], [f"z{i}"]),
        ])
        dense(f"z{i}", f"o{i}", hidden, hidden, transposed=False)
        nodes.append(node("Add", [f"o{i}", h], [f"s{i}"]))
        normal(f"s{i}", f"n{i}")
        dense(f"n{i}", f"u{i}", hidden, 2 * hidden, transposed=False)
        nodes.append(node("Relu", [f"u{i}"], [f"r{i}"]))
        dense(f"r{i}", f"d{i}", 2 * hidden, hidden, transposed=False)
        nodes.append(node("Add", [f"d{i}", f"n{i}"], [f"t{i}"]))
        normal(f"t{i}", f"h{i + 1}" if i + 1 < layers else "state")
    whole = {"zero", "one", "two", "first", "split", "whole"}
    constants = {name: array.astype(np.int64 if name in whole else np.float32) for name, array in c.items()}
    state = [("state", FLOAT, ["batch", "length", hidden])]
    return model("encoder", nodes, [("ids", INT64, ["batch", "length"])], state, constants)


def session(made):
    return onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])


class Rows(CalibrationDataReader):
    def __init__(self, feeds):
        self.feeds = iter(feeds)

    def get_next(self):
        return next(self.feeds, None)


def compare(original, changed, inputs, labels):
    expected, got = session(original).run(None, inputs), session(changed).run(None, inputs)
    floats = [(a.ravel().astype(float), b.ravel().astype(float)) for a, b in zip(expected, got) if a.dtype == np.float32]
    cosine = min(float(a @ b / np.sqrt((a @ a) * (b @ b))) for a, b in floats)
    accuracy = float((got[0] == labels).mean()) if labels is not None else None
    return {"bytes": len(changed.SerializeToString()), "cosine": cosine, "accuracy": accuracy}


def quantized(original, how):
    with tempfile.TemporaryDirectory() as folder:
        before, after = f"{folder}/before.onnx", f"{folder}/after.onnx"
        onnx.save(original, before)
        how(before, after)
        return onnx.load(after)


digits = load_digits()
x, y = (digits.data / 16).astype(np.float32), digits.target
learn, check = slice(0, 1200), slice(1200, 1400)
ids = rng.integers(0, 64, size=(80, 12))
cases = []
for name, made, inputs, labels, calibration in [
    ("mlp", mlp(x[learn], y[learn]), {"x": x[check]}, y[check], [{"x": x[i : i + 20]} for i in range(0, 100, 20)]),
    ("conv", conv(x[learn], y[learn]), {"x": x[check]}, y[check], [{"x": x[i : i + 20]} for i in range(0, 100, 20)]),
    ("encoder", encoder(), {"ids": ids[:64]}, None, [{"ids": ids[i : i + 4]} for i in range(64, 80, 4)]),
]:
    onnx.save(made, HERE / f"optimize_{name}.onnx")
    dynamic = quantized(made, lambda a, b: quantize_dynamic(a, b, per_channel=True))
    static = quantized(made, lambda a, b: quantize_static(
        a, b, Rows(calibration), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    ))
    case = {"model": name, "original": compare(made, made, inputs, labels)}
    case["dynamic"] = compare(made, dynamic, inputs, labels)
    case["static"] = compare(made, static, inputs, labels)
    cases.append(case)
    print(case)

rows = {
    "digits": (x[check] * 16).astype(int).tolist(),
    "labels": y[check].tolist(),
    "calibration_digits": (x[:100] * 16).astype(int).tolist(),
    "ids": ids.tolist(),
}
text = json.dumps({"cases": cases, "rows": rows}, separators=(",", ":"))
(HERE / "optimize.json").write_text(text + "\n")
