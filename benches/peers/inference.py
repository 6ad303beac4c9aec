"""Inference side by side with other libraries, one thread each, in one run.

    pip install -r benches/peers/requirements.txt
    python benches/peers/inference.py [--rounds 5] [--seconds 0.4] [--only lightgbm_binary] [--no-build]

Makes the models from a fixed seed, builds the native side in release, asks every side in turns and prints tables in Markdown:
the median of the times of single calls, in microseconds, of the best round, and the processor's time a call. Nothing is
subtracted from any time. A call is what the user of that library calls:

- `native`: `Model::predict` of this library, from Rust: named tensors in and out, checked against the signature.
- `onnxruntime, Python`: `InferenceSession.run` on a NumPy array, one intra-op thread, no spinning.
- `onnxruntime, Rust`: the same library behind this library's `ort` runtime, so without Python.
- `lleaves`, `TL2cgen`: from Python as their documentation has it; `bare` is the compiled function called from C in a loop, for
  which the inputs were converted before the clock started. Their load is the time to compile.
- `treelite GTIL`: the interpreter of Treelite, from Python.

Every row that goes in is another one than the last: 4,096 of them in turn, so that no branch predictor knows the answers.
Outputs are compared with those of ONNX Runtime first. Needs gcc for TL2cgen and the C loop.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import time
import warnings

import lightgbm
import lleaves
import numpy as np
import onnxruntime
import tl2cgen
import treelite
from onnx import TensorProto, helper, numpy_helper
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType as LightGbmTensorType
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
WORK = TARGET / "peers"
LIBRARY = next((pathlib.Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.*1*"), None)
BATCHES = [1, 64, 1024]
ROWS = 4096


# Models.


def tables(columns, seed):
    x, y = make_classification(
        24_000, columns, n_informative=columns // 2, n_redundant=columns // 4, flip_y=0.05, random_state=seed
    )
    x = x.astype(np.float32)
    return x[ROWS:], y[ROWS:], np.ascontiguousarray(x[:ROWS])


def save(name, model, rows):
    (WORK / f"{name}.onnx").write_bytes(model.SerializeToString())
    rows.tofile(WORK / f"{name}.f32")
    return rows


def lightgbm_model(name, fitted, columns):
    model = convert_lightgbm(
        fitted, initial_types=[("x", LightGbmTensorType([None, columns]))], target_opset=15, zipmap=False
    )
    for output in model.graph.output:
        if output.name == "label":
            # The export says that there is one label, however many rows there are.
            output.type.tensor_type.shape.dim[0].Clear()
    fitted.booster_.save_model(WORK / f"{name}.lgb.txt")
    return model


def lightgbm_binary(name):
    x, y, rows = tables(30, 1)
    fitted = lightgbm.LGBMClassifier(n_estimators=100, num_leaves=31, random_state=1, verbose=-1, n_jobs=1).fit(x, y)
    return save(name, lightgbm_model(name, fitted, 30), rows)


def lightgbm_regressor(name):
    x, y, rows = tables(30, 2)
    y = y + np.sin(x[:, 0]) * x[:, 1]
    fitted = lightgbm.LGBMRegressor(n_estimators=100, num_leaves=31, random_state=1, verbose=-1, n_jobs=1).fit(x, y)
    return save(name, lightgbm_model(name, fitted, 30), rows)


def large_trees(name):
    """Trees that are walked; the compilers take minutes with these, so they are left out."""
    x, y, rows = tables(30, 5)
    fitted = lightgbm.LGBMRegressor(n_estimators=100, num_leaves=255, random_state=1, verbose=-1, n_jobs=1).fit(x, y)
    return save(name, lightgbm_model(name, fitted, 30), rows)


def sklearn_gbc_scaler(name):
    x, y, rows = tables(30, 3)
    fitted = make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=100, random_state=1)).fit(x, y)
    model = to_onnx(
        fitted,
        initial_types=[("x", FloatTensorType([None, 30]))],
        target_opset={"": 17, "ai.onnx.ml": 3},
        options={id(fitted): {"zipmap": False}},
    )
    return save(name, model, rows)


def mlp(name):
    rng = np.random.default_rng(4)
    widths, nodes, weights, at = [64, 256, 256, 10], [], [], "x"
    for layer, (inner, outer) in enumerate(zip(widths, widths[1:])):
        weight = rng.normal(size=(inner, outer)).astype(np.float32) * np.sqrt(2 / inner).astype(np.float32)
        weights += [numpy_helper.from_array(weight, f"w{layer}")]
        weights += [numpy_helper.from_array(rng.normal(size=outer).astype(np.float32) * 0.1, f"b{layer}")]
        nodes.append(helper.make_node("Gemm", [at, f"w{layer}", f"b{layer}"], [f"h{layer}"]))
        last = layer + 2 == len(widths)
        nodes.append(helper.make_node("Softmax" if last else "Relu", [f"h{layer}"], ["y" if last else f"r{layer}"]))
        at = f"r{layer}"
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    return save(name, model, rng.normal(size=(ROWS, 64)).astype(np.float32))


MODELS = [lightgbm_binary, lightgbm_regressor, sklearn_gbc_scaler, large_trees, mlp]


# Sides. Each is a function of rows a call and seconds that gives what it saw, and the time that making it took.


def looped(call, rows):
    """Times calls from Python, one by one."""
    inputs = {n: [np.ascontiguousarray(rows[i : i + n]) for i in range(0, ROWS, n)] for n in BATCHES}

    def side(batch, seconds):
        clock, times, end = time.perf_counter_ns, [], time.perf_counter() + seconds
        cpu = time.thread_time_ns()
        while time.perf_counter() < end:
            for given in inputs[batch]:
                start = clock()
                call(given)
                times.append(clock() - start)
        cpu = time.thread_time_ns() - cpu
        return {"p50": float(np.median(times)) / 1e3, "cpu": cpu / len(times) / 1e3}

    return side


def processed(*command, env=None, outputs=()):
    """Times calls in a process that does it by itself."""

    def side(batch, seconds):
        arguments = [*map(str, command), str(batch), str(seconds), *map(str, outputs)]
        run = subprocess.run(arguments, capture_output=True, text=True, env={**os.environ, **(env or {})})
        if run.returncode:
            sys.exit(f"{' '.join(arguments)}\n{run.stderr}")
        return json.loads(run.stdout)

    return side


def rust(runtime, name, columns, outputs):
    binary = TARGET / "release" / "examples" / "peers_native"
    paths = [binary, runtime, WORK / f"{name}.onnx", WORK / f"{name}.f32", columns]
    return processed(*paths, env={"ORT_DYLIB_PATH": str(LIBRARY)}, outputs=[outputs])


def version(package):
    return importlib.metadata.version(package)


def timed(work):
    start = time.perf_counter()
    return work(), (time.perf_counter() - start) * 1e6


def session(name):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(WORK / f"{name}.onnx", options, providers=["CPUExecutionProvider"])


def compilers(name, rows, expected):
    """The tree compilers, for models that LightGBM wrote."""
    text, columns = WORK / f"{name}.lgb.txt", rows.shape[1]

    def leaves():
        model = lleaves.Model(model_file=str(text))
        cached = WORK / f"{name}.lleaves.o"
        cached.unlink(missing_ok=True)
        model.compile(cache=str(cached))
        return model

    def lib():
        model = treelite.frontend.load_lightgbm_model(str(text))
        library = WORK / f"{name}.tl2cgen.so"
        tl2cgen.export_lib(model, toolchain="gcc", libpath=str(library), params={}, verbose=False)
        return tl2cgen.Predictor(str(library), nthread=1)

    model, load = timed(leaves)
    close(f"lleaves on {name}", model.predict(rows, n_jobs=1), expected)
    yield "lleaves", version("lleaves"), looped(lambda x: model.predict(x, n_jobs=1), rows), load
    shared = WORK / f"{name}.lleaves.so"
    subprocess.run(["gcc", "-shared", "-o", shared, WORK / f"{name}.lleaves.o", "-lm"], check=True)
    loop = WORK / "compiled"
    inputs = WORK / f"{name}.f32"
    yield "lleaves, bare", version("lleaves"), processed(loop, "lleaves", shared, inputs, columns), load

    predictor, load = timed(lib)
    close(f"TL2cgen on {name}", predictor.predict(tl2cgen.DMatrix(rows)).ravel(), expected)
    call = looped(lambda x: predictor.predict(tl2cgen.DMatrix(x)), rows)
    yield "TL2cgen", version("tl2cgen"), call, load
    library = WORK / f"{name}.tl2cgen.so"
    yield "TL2cgen, bare", version("tl2cgen"), processed(loop, "tl2cgen", library, inputs, columns), load

    gtil, load = timed(lambda: treelite.frontend.load_lightgbm_model(str(text)))
    yield "treelite GTIL", version("treelite"), looped(lambda x: treelite.gtil.predict(gtil, x, nthread=1), rows), load


def close(what, got, expected):
    worst = float(np.max(np.abs(np.asarray(got, np.float64).ravel() - np.asarray(expected, np.float64).ravel())))
    print(f"{what}: differs from onnxruntime by at most {worst:.1e}", file=sys.stderr)
    # TL2cgen and lleaves sum in another precision.
    if not worst < 1e-4:
        sys.exit(f"{what}: other answers than onnxruntime")


def sides(name, rows, features):
    given = session(name)
    expected = given.run(None, {"x": rows})[-1]
    runtimes = ["native"] + (["ort"] if "ort" in features else [])
    for runtime in runtimes:
        outputs = WORK / f"{name}.{runtime}.out.f32"
        side = rust(runtime, name, rows.shape[1], outputs)
        seen = side(64, 0.01)
        close(f"{runtime} on {name}", np.fromfile(outputs, np.float32), expected)
        if runtime == "native":
            yield "native", "this", side, seen["load"]
        else:
            yield "onnxruntime, Rust", onnxruntime.__version__, side, seen["load"]
    _, load = timed(lambda: session(name))
    yield "onnxruntime, Python", onnxruntime.__version__, looped(lambda x: given.run(None, {"x": x}), rows), load
    if name.startswith("lightgbm"):
        yield from compilers(name, rows, expected[:, -1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.4, help="of each side, batch size and round")
    parser.add_argument("--only", action="append", choices=[model.__name__ for model in MODELS])
    parser.add_argument("--features", default="ort", help="of ml-core; without ort the runtime of that name is left out")
    parser.add_argument("--no-build", action="store_true")
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    if not options.no_build:
        command = ["cargo", "build", "--release", "-p", "ml-core", "--features", options.features]
        subprocess.run([*command, "--example", "peers_native"], cwd=ROOT, check=True)
    subprocess.run(["gcc", "-O2", "-o", WORK / "compiled", HERE / "compiled.c", "-ldl"], check=True)

    for make in MODELS:
        name = make.__name__
        if options.only and name not in options.only:
            continue
        rows = make(name)
        found = list(sides(name, rows, options.features))
        best = {}
        for _ in range(options.rounds):
            for batch in BATCHES:
                for side, _, run, _ in found:
                    seen = run(batch, options.seconds)
                    kept = best.setdefault((side, batch), seen)
                    if seen["p50"] < kept["p50"]:
                        best[side, batch] = seen
        size = (WORK / f"{name}.onnx").stat().st_size
        print(f"\n**{name}**, {size:,} bytes of ONNX\n")
        header = ["", "version", *(f"p50 of {n}, µs (CPU)" for n in BATCHES), *(f"native / it, {n}" for n in BATCHES)]
        print("| " + " | ".join([*header, "load or compile, ms"]) + " |")
        print("|---|---|" + "---:|" * (2 * len(BATCHES) + 1))
        for side, release, _, load in found:
            times = [best[side, n] for n in BATCHES]
            ratios = [best["native", n]["p50"] / best[side, n]["p50"] for n in BATCHES]
            cells = [side, release, *(f"{t['p50']:.2f} ({t['cpu']:.2f})" for t in times)]
            cells += [f"{r:.2f}" for r in ratios] + [f"{load / 1e3:.1f}"]
            print("| " + " | ".join(cells) + " |")
        kept = best["native", 1]["kept"]
        print(f"\nLoaded, native keeps {kept:,} bytes in memory, {kept / size:.2f} times the file.", flush=True)


if __name__ == "__main__":
    main()
