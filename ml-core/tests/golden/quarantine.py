"""Writes quarantine_*.onnx: models that are well formed and never end, or take all memory.

Made with onnx 1.23.2:
    python ml-core/tests/golden/quarantine.py
They need no expected outputs: none of them gives any.
"""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
value = helper.make_tensor_value_info


def write(name, nodes, inputs, outputs, constants):
    initializers = [numpy_helper.from_array(np.array(array), key) for key, array in constants.items()]
    graph = helper.make_graph(nodes, name, inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="golden")
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, HERE / f"quarantine_{name}.onnx")


def endless():
    """A loop of as many turns as a number can say."""
    turn, condition = value("turn", TensorProto.INT64, []), value("condition", TensorProto.BOOL, [])
    state, again = value("state", TensorProto.FLOAT, ["batch", 1]), value("again", TensorProto.BOOL, [])
    body = helper.make_graph(
        [helper.make_node("Identity", ["condition"], ["again"]), helper.make_node("Cos", ["state"], ["next"])],
        "body",
        [turn, condition, state],
        [again, value("next", TensorProto.FLOAT, ["batch", 1])],
    )
    write(
        "endless",
        [helper.make_node("Loop", ["turns", "yes", "x"], ["y"], body=body)],
        [value("x", TensorProto.FLOAT, ["batch", 1])],
        [value("y", TensorProto.FLOAT, ["batch", 1])],
        {"turns": np.int64(2**63 - 1), "yes": np.bool_(True)},
    )


def vast():
    """As many zeros as the input says, each time anew."""
    write(
        "vast",
        [
            helper.make_node("ConstantOfShape", ["lengths"], ["zeros"]),
            helper.make_node("ReduceSum", ["zeros"], ["y"], keepdims=0),
        ],
        [value("lengths", TensorProto.INT64, ["rank"])],
        [value("y", TensorProto.FLOAT, [])],
        {},
    )


endless()
vast()
