"""Drives a server with the unmodified client of the Open Inference Protocol's reference server.

Needs tritonclient[http]==2.73.0 and numpy. Usage: tritonclient_http.py HOST:PORT, where the server has the model
`scale` at versions 1 (the default) and 3: from `x`, FP32 [-1, 2], version K gives `y` = K * x and `factor` = K for each row.
"""

import sys

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

client = InferenceServerClient(sys.argv[1])
X = np.array([[1.5, -2.0], [0.25, 1e6]], dtype=np.float32)


def infer(x=X, dtype="FP32", **request):
    tensor = InferInput("x", list(x.shape), dtype)
    tensor.set_data_from_numpy(x, binary_data=False)
    return client.infer("scale", [tensor], **request)


def refusal(call):
    try:
        call()
    except InferenceServerException as error:
        return error.status(), error.message()
    raise AssertionError("the server did not refuse")


assert client.is_server_live()
assert client.is_server_ready()
assert client.is_model_ready("scale")
assert client.is_model_ready("scale", "3")
assert not client.is_model_ready("scale", "2")

metadata = client.get_server_metadata()
assert metadata["extensions"] == [], metadata
metadata = client.get_model_metadata("scale")
assert metadata["name"] == "scale" and metadata["versions"] == ["1", "3"], metadata
assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}], metadata
assert [output["name"] for output in metadata["outputs"]] == ["y", "factor"], metadata

# No outputs named: the client then prefers binary ones, and takes JSON.
result = infer(request_id="first")
assert result.get_response()["id"] == "first"
assert result.get_response()["model_version"] == "1"
np.testing.assert_array_equal(result.as_numpy("y"), X)
np.testing.assert_array_equal(result.as_numpy("factor"), np.float32([[1], [1]]))

result = infer(model_version="3", outputs=[InferRequestedOutput("y", binary_data=False)])
assert result.get_response()["model_version"] == "3"
np.testing.assert_array_equal(result.as_numpy("y"), 3 * X)
assert result.as_numpy("factor") is None

status, message = refusal(lambda: infer(X.astype(np.int64), "INT64"))
assert status == "400" and "another element type" in message, (status, message)
status, message = refusal(lambda: infer(model_version="2"))
assert status == "404" and "not served" in message, (status, message)
status, message = refusal(lambda: client.get_model_metadata("none"))
assert status == "404", (status, message)

binary = InferInput("x", list(X.shape), "FP32")
binary.set_data_from_numpy(X, binary_data=True)
status, message = refusal(lambda: client.infer("scale", [binary]))
assert status == "400" and "binary" in message, (status, message)

print("every call was answered as expected")
