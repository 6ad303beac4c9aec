"""Runs an ONNX model in the Python of ONNX Runtime: the model and its inputs come as JSON, its outputs go as JSON.

    python ml-core/tests/golden/real_models.py < call.json
"""

import json
import sys

import numpy as np
import onnxruntime

TYPES = {"FP32": np.float32, "INT32": np.int32, "INT64": np.int64}
NAMES = {np.dtype(kind): name for name, kind in TYPES.items()}

call = json.load(sys.stdin)
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(call["model"], options, providers=["CPUExecutionProvider"])
inputs = {t["name"]: np.array(t["data"], TYPES[t["datatype"]]).reshape(t["shape"]) for t in call["inputs"]}
names = [output.name for output in session.get_outputs()]
outputs = [
    {"name": name, "shape": list(array.shape), "datatype": NAMES[array.dtype], "data": array.ravel().tolist()}
    for name, array in zip(names, session.run(None, inputs))
]
json.dump(outputs, sys.stdout)
