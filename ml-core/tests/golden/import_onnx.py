"""Writes import_onnx_*.onnx and import_onnx.json: models as exporters leave them, and what ONNX Runtime gives for them.

Made with onnx 1.23.2, onnxruntime 1.32.0, scikit-learn 1.9.1, skl2onnx 1.20.0, lightgbm 4.7.0, onnxmltools 1.16.0,
numpy 2.4.6:
    python ml-core/tests/golden/import_onnx.py
The exporters declare one label however many rows, one number however many targets, and maps where there are tensors.
"""

import json
import pathlib
import warnings

import lightgbm
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType as LightGbmTensorType
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(20130101)

x = rng.normal(size=(200, 4)).astype(np.float32).round(2)
three = np.digitize(x[:, 0] + x[:, 1] * x[:, 2], [-0.5, 0.5])


def boosted(**options):
    fitted = lightgbm.LGBMClassifier(n_estimators=3, num_leaves=4, random_state=1, verbose=-1).fit(x, three)
    types = [("x", LightGbmTensorType([None, 4]))]
    return convert_lightgbm(fitted, initial_types=types, target_opset=15, **options)


def sklearn(fitted):
    return to_onnx(fitted, initial_types=[("x", FloatTensorType([None, 4]))], target_opset={"": 17, "ai.onnx.ml": 3})


def with_einsum(model):
    """The same behind an operator that takes apart nothing and that few runtimes know."""
    next(opset for opset in model.opset_import if opset.domain == "").version = 12
    model.graph.node[-1].output[0] = "inner"
    model.graph.node.append(helper.make_node("Einsum", ["inner"], ["probabilities"], equation="ij->ij"))
    return model


def without_shapes():
    nodes = [helper.make_node("Sigmoid", ["x"], ["y"])]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])]
    graph = helper.make_graph(nodes, "golden", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


names = np.array(["low", "middle", "high"])
cases = {
    "one_label": boosted(zipmap=False),
    "maps": boosted(),
    "text_maps": sklearn(LogisticRegression().fit(x, names[three])),
    "two_targets": sklearn(RandomForestRegressor(n_estimators=2, max_depth=2, random_state=1).fit(x, x[:, :2])),
    "one_label_einsum": with_einsum(boosted(zipmap=False)),
    "no_shape": without_shapes(),
}


def tensor(name, values):
    if isinstance(values, list):
        # Maps: the probabilities in the order of the labels.
        values = np.array([[row[key] for key in sorted(row)] for row in values], np.float32)
    datatype = {"float32": "FP32", "int64": "INT64"}.get(values.dtype.name, "BYTES")
    data = [float(str(v)) for v in values.ravel()] if datatype == "FP32" else values.ravel().tolist()
    return {"name": name, "shape": list(values.shape), "datatype": datatype, "data": data}


golden = []
for name, model in cases.items():
    model = model.SerializeToString()
    (HERE / f"import_onnx_{name}.onnx").write_bytes(model)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    session_outputs = [output.name for output in session.get_outputs()]
    inputs = {"x": x[:7]}
    outputs = zip(session_outputs, session.run(None, inputs))
    golden.append(
        {
            "model": name,
            "inputs": [tensor(*pair) for pair in inputs.items()],
            "outputs": [tensor(*pair) for pair in outputs],
        }
    )
lines = ",\n".join(json.dumps(case) for case in golden)
(HERE / "import_onnx.json").write_text(f"[\n{lines}\n]\n")
