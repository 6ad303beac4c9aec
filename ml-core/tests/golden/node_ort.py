"""Writes node_ort.txt: the node tests of ONNX that `OrtRuntime` does not pass, and why.

Made with onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, and the node tests that the package onnx 1.17.0 ships:
    ONNX_NODE_TESTS=.../onnx/backend/test/data/node python ml-core/tests/golden/node_ort.py
One line a test, `name <tab> verdict <tab> reason`; a test that is not named passes. The verdicts:
    unread  the family has no such inputs or outputs: sequences, optionals, element types outside its fourteen
    load    the library refuses the model
    run     the library fails when it runs
    wrong   the library gives other outputs than the test expects
Tolerances are those of the Rust side: 1e-3 relative, 1e-5 absolute, exact for everything that is no float.
"""

import os
import pathlib
import re

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

CASES = pathlib.Path(os.environ["ONNX_NODE_TESTS"])
OUT = pathlib.Path(__file__).with_name("node_ort.txt")
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
OTHERS = ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "STRING")
KNOWN = {*FLOATS, *(TensorProto.DataType.Value(name) for name in OTHERS)}


def unread(model):
    for value in [*model.graph.input, *model.graph.output]:
        kind = value.type.WhichOneof("value")
        if kind != "tensor_type":
            return f"{value.name} is of {kind}"
        of = value.type.tensor_type
        if of.elem_type not in KNOWN:
            return f"{value.name} is of {TensorProto.DataType.Name(of.elem_type)}"
        if not of.HasField("shape"):
            return f"{value.name} has no shape"
    return None


def through_floats(model):
    """NumPy has no bfloat16 that the Python binding takes, so such values go in and out as floats, which hold them all."""
    graph = model.graph
    for side, values in (("in", graph.input), ("out", graph.output)):
        for value in values:
            of = value.type.tensor_type
            if of.elem_type != TensorProto.BFLOAT16:
                continue
            of.elem_type = TensorProto.FLOAT
            inner = value.name + "_bf16"
            for node in graph.node:
                names = node.input if side == "in" else node.output
                names[:] = [inner if name == value.name else name for name in names]
            if side == "in":
                graph.node.insert(0, helper.make_node("Cast", [value.name], [inner], to=TensorProto.BFLOAT16))
            else:
                graph.node.append(helper.make_node("Cast", [inner], [value.name], to=TensorProto.FLOAT))
    return model


def read(path, declared):
    proto = TensorProto.FromString(path.read_bytes())
    if declared == TensorProto.BFLOAT16 and proto.data_type == TensorProto.UINT16:
        # These tests were written before NumPy could hold the type.
        proto.data_type = declared
    array = numpy_helper.to_array(proto)
    if proto.data_type == TensorProto.BFLOAT16:
        return array.astype(np.float32), True
    if proto.data_type == TensorProto.STRING:
        return array.astype(object), False
    return array, proto.data_type in FLOATS


def tensors(folder, side, declared):
    return [read(folder / f"{side}_{i}.pb", kind) for i, kind in enumerate(declared)]


def verdict(folder):
    model = onnx.load(folder / "model.onnx")
    if reason := unread(model):
        return "unread", reason
    takes, gives = ([v.type.tensor_type.elem_type for v in side] for side in (model.graph.input, model.graph.output))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if TensorProto.BFLOAT16 in (*takes, *gives):
        # Two casts that undo each other are optimized away, and the rounding between them.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(
            through_floats(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        return "load", str(error)
    names = [value.name for value in session.get_inputs()]
    for data in sorted(folder.glob("test_data_set_*")):
        inputs = {name: array for name, (array, _) in zip(names, tensors(data, "input", takes), strict=True)}
        try:
            outputs = session.run(None, inputs)
        except Exception as error:
            return "run", str(error)
        for value, got, (wanted, close) in zip(session.get_outputs(), outputs, tensors(data, "output", gives), strict=True):
            got = np.asarray(got)
            if got.shape != wanted.shape:
                return "wrong", f"{value.name} has shape {got.shape}, expected {wanted.shape}"
            same = got == wanted
            if close:
                same = np.isclose(got.astype(np.float64), wanted.astype(np.float64), 1e-3, 1e-5, equal_nan=True)
            if not np.all(same):
                return "wrong", f"{value.name} differs in {np.sum(~same)} of {wanted.size} elements"
    return "pass", ""


def main():
    lines = []
    for folder in sorted(path.parent for path in CASES.glob("*/model.onnx")):
        found, reason = verdict(folder)
        if found != "pass":
            # Addresses, paths and line numbers are not reasons.
            reason = re.sub(r"/\S+?:\d+ ", "", " ".join(reason.split()))
            reason = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", reason)
            lines.append(f"{folder.name}\t{found}\t{reason[:100]}")
    OUT.write_text("\n".join(lines) + "\n")
    print(len(lines), "tests do not pass")


main()
