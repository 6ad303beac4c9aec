"""Writes trees_*.onnx and trees.json: ensembles of trees and what ONNX Runtime gives for them.

Made with onnx 1.23.2, onnxruntime 1.32.0, scikit-learn 1.9.1, skl2onnx 1.20.0, lightgbm 4.7.0, onnxmltools 1.16.0,
numpy 2.4.6:
    python ml-core/tests/golden/trees.py
The first are models that scikit-learn and LightGBM fitted, as skl2onnx and onnxmltools export them. The others are built by
hand: every mode of a node, aggregate function and transform, and the corners that the specification leaves open.
"""

import json
import math
import pathlib
import warnings

import lightgbm
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType as LightGbmTensorType
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
ML = "ai.onnx.ml"
rng = np.random.default_rng(20130101)


# Fitted models.

COLUMNS = 4
x = rng.normal(size=(500, COLUMNS)).astype(np.float32).round(2)
hidden = x[:, 0] + x[:, 1] * x[:, 2] + 0.3 * rng.normal(size=500)
two = (hidden > 0).astype(int)
three = np.digitize(hidden, [-0.7, 0.7])
missing = x.copy()
missing[rng.random(x.shape) < 0.15] = np.nan
# One column of categories, which LightGBM asks for one after the other.
codes = x.copy()
codes[:, 1] = rng.integers(0, 8, size=500)
by_code = x[:, 0] + np.isin(codes[:, 1], [1, 4, 6]) * 2 + 0.1 * rng.normal(size=500)


def sample(values, rows=70):
    """More rows than the runtime takes at once, the last of them no ordinary numbers."""
    rows = values[:rows].copy()
    rows[-5], rows[-4], rows[-3], rows[-2] = np.nan, np.inf, -np.inf, 0.0
    rows[-1] = [np.nan, 1, -np.inf, 0.5]
    return {"x": rows}


def sklearn(fitted, *options):
    """Without ZipMap, which turns scores into maps."""
    options = {id(fitted): dict.fromkeys(options, False)}
    model = to_onnx(
        fitted,
        initial_types=[("x", FloatTensorType([None, COLUMNS]))],
        target_opset={"": 17, ML: 3},
        options=options,
    )
    if getattr(fitted, "n_outputs_", 1) > 1:
        # The export says that there is one number a row, however many targets there are.
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = fitted.n_outputs_
    return model, sample(x)


def lightgbm_model(fitted, values):
    model = convert_lightgbm(
        fitted, initial_types=[("x", LightGbmTensorType([None, COLUMNS]))], target_opset=15, zipmap=False
    )
    for output in model.graph.output:
        if output.name == "label":
            # The export says that there is one label, however many rows there are.
            output.type.tensor_type.shape.dim[0].Clear()
    return model, sample(values)


BOOSTING = {"n_estimators": 12, "max_depth": 3, "random_state": 1}
FOREST = {"n_estimators": 8, "max_depth": 4, "random_state": 1}
LIGHTGBM = {"n_estimators": 12, "num_leaves": 7, "random_state": 1, "verbose": -1}


# Models by hand. A tree is a leaf, `{id: weight}`, or a branch, `(mode, column, threshold, yes, no)`, with True at the end where
# NaN goes to `yes`. The same leaf at two places is one node that two branches lead to.


def ensemble(op, outputs, trees, **attributes):
    prefix = "class" if op == "TreeEnsembleClassifier" else "target"
    nodes = {name: [] for name in ["treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids"]}
    nodes["missing_value_tracks_true"] = []
    weights = {name: [] for name in ["treeids", "nodeids", "ids", "weights"]}
    for tree_id, tree in enumerate(trees):
        rows, ids = [], {}

        def add(tree):
            if isinstance(tree, dict) and id(tree) in ids:
                return ids[id(tree)]
            node_id = ids[id(tree)] = len(rows)
            if isinstance(tree, dict):
                rows.append([tree_id, node_id, 0, 0.0, "LEAF", 0, 0, 0])
                for target, weight in tree.items():
                    for name, value in zip(weights, [tree_id, node_id, target, float(weight)]):
                        weights[name].append(value)
                return node_id
            mode, column, threshold, yes, no, *tracks = tree
            rows.append([tree_id, node_id, column, float(threshold), f"BRANCH_{mode}", 0, 0, int(bool(tracks))])
            rows[node_id][5], rows[node_id][6] = add(yes), add(no)
            return node_id

        add(tree)
        for row in rows:
            for name, value in zip(nodes, row):
                nodes[name].append(value)
    attributes |= {f"nodes_{name}": values for name, values in nodes.items()}
    attributes |= {f"{prefix}_{name}": values for name, values in weights.items()}
    return helper.make_node(op, ["x"], outputs, domain=ML, **attributes)


def built(nodes, columns, rows, dtype=np.float32, version=3):
    def output(node, name):
        lists = {a.name: a for a in node.attribute}
        if node.op_type == "TreeEnsembleClassifier":
            texts = len(lists["classlabels_strings"].strings) if "classlabels_strings" in lists else 0
            count = texts or len(lists["classlabels_int64s"].ints)
        else:
            count = lists["n_targets"].i
        if len(node.output) == 2 and name == node.output[0]:
            return helper.make_tensor_value_info(name, TensorProto.STRING if texts else TensorProto.INT64, ["batch"])
        double = node.op_type == "TreeEnsemble" and dtype == np.float64
        return helper.make_tensor_value_info(name, TensorProto.DOUBLE if double else TensorProto.FLOAT, ["batch", count])

    graph = helper.make_graph(
        nodes,
        "golden",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), ["batch", columns])],
        [output(node, name) for node in nodes for name in node.output],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, version)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="golden")
    onnx.checker.check_model(model)
    return model, {"x": np.array(rows, dtype)}


def regressor(name, trees, targets, **attributes):
    return ensemble("TreeEnsembleRegressor", [name], trees, n_targets=targets, **attributes)


def classifier(name, trees, labels, **attributes):
    outputs = [f"{name}_label", f"{name}_scores"]
    return ensemble("TreeEnsembleClassifier", outputs, trees, classlabels_int64s=labels, **attributes)


MODES = ["LEQ", "LT", "GTE", "GT", "EQ", "NEQ"]
EDGES = [-1, -0.0, 0.0, 1e-45, 0.5, 0.50000006, 1, np.nan, np.inf, -np.inf]
TRANSFORMS = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]


def modes():
    nodes = []
    for mode in MODES:
        trees = [(mode, 0, 0.5, {0: 1}, (mode, 0, 0, {0: 2}, {0: 4}))]
        nodes.append(regressor(mode.lower(), trees, 1))
        trees = [(mode, 0, 0.5, (mode, 0, 0, {0: 1}, {0: 2}), {0: 4}, True)]
        nodes.append(regressor(f"{mode.lower()}_missing", trees, 1))
    chain = {0: 64.0}
    for at, mode in enumerate(MODES):
        chain = (mode, at % 2, [0.5, 0, 1][at % 3], {0: float(2**at)}, chain, *([True] if at in (1, 4) else []))
    nodes.append(regressor("mixed", [chain, ("LEQ", 1, 0, {0: 0.25}, {0: 0.5})], 1))
    inside = {0: 1.0}
    shared = ("EQ", 0, 1, inside, ("EQ", 0, 0.5, inside, ("EQ", 0, -1, inside, {0: -1.0})))
    nodes.append(regressor("shared", [shared], 1))
    nodes.append(regressor("leaf", [{0: 0.75}, ("LEQ", 0, math.inf, {0: 1}, {0: 2})], 1))
    return built(nodes, 2, [[a, b] for a in EDGES for b in [0, -0.5, np.nan]])


GRID = [[a, b] for a in [-1, 1] for b in [-1, 1]]


def aggregates():
    one = [("LEQ", 0, 0, {0: 0.25}, {0: 0.75}), ("LEQ", 1, 0, {0: -0.5}, {0: 0.125}), {0: 0.5}]
    # Not every row has a weight for every target.
    several = [
        ("LEQ", 0, 0, {0: 0.25, 2: -1}, {1: 0.75}),
        ("LEQ", 1, 0, {0: -0.5, 1: 0.5}, {0: 0.125}),
        ("GT", 0, 0, {}, {0: 2, 1: 3}),
    ]
    nodes = []
    for function in ["SUM", "AVERAGE", "MIN", "MAX"]:
        name = function.lower()
        nodes.append(regressor(name, one, 1, aggregate_function=function))
        nodes.append(regressor(f"{name}_base", one, 1, aggregate_function=function, base_values=[0.375]))
        nodes.append(regressor(f"{name}_several", several, 3, aggregate_function=function))
        base, every = [10.0, -20.0, 30.0], several + [{0: 0.5, 1: -0.25, 2: 0.125}]
        nodes.append(regressor(f"{name}_several_base", every, 3, aggregate_function=function, base_values=base))
    return built(nodes, 2, GRID)


def transforms():
    trees = [("LEQ", 0, 0, {0: 0.25, 1: 0.5}, {0: 0.125, 2: 0.75}), ("LEQ", 1, 0, {1: 0.125}, {0: 0.5, 1: 0.25, 2: 0})]
    signs = [("LEQ", 0, 0, {0: -2, 1: 0.5}, {0: 12.5, 2: -0.75}), ("LEQ", 1, 0, {1: 1.125}, {0: -0.5, 1: 9.25, 2: 0})]
    nodes = []
    for transform in TRANSFORMS:
        name = transform.lower()
        nodes.append(regressor(f"{name}_one", [("LEQ", 0, 0, {0: 0.25}, {0: 0.875})], 1, post_transform=transform))
        nodes.append(regressor(name, trees, 3, post_transform=transform))
        nodes.append(classifier(f"{name}_classes", trees, [5, 3, -8], post_transform=transform))
        if transform != "PROBIT":
            nodes.append(classifier(f"{name}_signs", signs, [5, 3, -8], post_transform=transform))
            base = [0.5, -0.25, 0.125]
            nodes.append(classifier(f"{name}_base", signs, [5, 3, -8], post_transform=transform, base_values=base))
    return built(nodes, 2, GRID)


def stumps(*classes, negative=False):
    """Two trees that give every row a weight for each class."""
    def leaf(weight):
        return {c: round(weight + c / 16, 4) for c in classes}

    sign = -1 if negative else 1
    return [("LEQ", 0, 0, leaf(0.125 * sign), leaf(0.5)), ("LEQ", 1, 0, leaf(0.25 * sign), leaf(0.0625))]


def binary():
    nodes = []
    for transform in TRANSFORMS:
        for negative in [False, True]:
            name = transform.lower() + ("_negative" if negative else "")
            if transform != "PROBIT":
                trees = stumps(0, negative=negative)
                nodes.append(classifier(f"first_{name}", trees, [7, 9], post_transform=transform))
                base = [0.0625]
                nodes.append(classifier(f"base_{name}", trees, [7, 9], post_transform=transform, base_values=base))
            if transform != "PROBIT" or not negative:
                nodes.append(classifier(f"second_{name}", stumps(1, negative=negative), [7, 9], post_transform=transform))
                both = stumps(0, 1, negative=negative)
                nodes.append(classifier(f"both_{name}", both, [0, 1], post_transform=transform))
    return built(nodes, 2, GRID)


def texts():
    both = [stumps(0, 1), stumps(0, 1, negative=True)]
    nodes = [
        ensemble(
            "TreeEnsembleClassifier",
            [f"{name}_label", f"{name}_scores"],
            trees,
            classlabels_strings=labels,
            post_transform=transform,
        )
        for name, trees, labels, transform in [
            ("first", stumps(0, negative=True), ["no", "yes"], "LOGISTIC"),
            ("second", stumps(1), ["no", "yes"], "NONE"),
            ("both", both[0], ["no", "yes"], "NONE"),
            ("both_negative", both[1], ["no", "yes"], "LOGISTIC"),
            ("three", stumps(0, 2, negative=True), ["ä", "b b", ""], "SOFTMAX"),
        ]
    ]
    return built(nodes, 2, GRID)


def doubled(node):
    """The same in double precision, with thresholds and weights that single precision does not have."""
    for name in ["nodes_values", "target_weights", "class_weights", "base_values"]:
        for attribute in [a for a in node.attribute if a.name == name]:
            values = np.array(attribute.floats, np.float64) + 1e-12
            node.attribute.remove(attribute)
            node.attribute.append(helper.make_attribute(f"{name}_as_tensor", numpy_helper.from_array(values)))
    return node


CLOSE = [[a + b, c] for a in [0, 0.5] for b in [0, 1e-12, 2e-12, -1e-12, math.nan] for c in [-1, 1]]


def doubles():
    tree = ("LEQ", 0, 0.5, ("LT", 0, 0, {0: 1, 1: 0.3}, {0: 2, 1: 0.1}), ("GT", 1, 0, {0: 4, 1: -0.7}, {0: 8, 1: 0.2}, True))
    nodes = [regressor("floats", [tree], 2, base_values=[0.1, 0.2])]
    nodes.append(doubled(regressor("doubles", [tree, tree], 2, base_values=[0.1, 0.2])))
    nodes.append(doubled(regressor("softmax", [tree], 2, post_transform="SOFTMAX")))
    nodes.append(doubled(classifier("single", stumps(0), [7, 9])))
    nodes.append(doubled(classifier("logistic", stumps(0, negative=True), [7, 9], post_transform="LOGISTIC")))
    nodes.append(doubled(classifier("classes", [tree, {2: 0.25}], [7, 9, 11], post_transform="SOFTMAX")))
    return built(nodes, 2, CLOSE, np.float64)


def whole(dtype):
    trees = [("LEQ", 0, 2.5, {0: 0.5}, ("EQ", 0, 7, {0: -1.5}, {0: 0.25}))]
    return built([classifier("class", trees, [7, 9])], 2, [[a, 0] for a in [-3, 2, 3, 7, 8, 16777217]], dtype)


# Version 5 has one operator. A set of values is a mode of its own.


def places(name, dtype, trees, targets=1, aggregate="SUM", transform="NONE"):
    modes = ["LEQ", "LT", "GTE", "GT", "EQ", "NEQ", "MEMBER"]
    nodes, leaves, members, roots = [], [], [], []

    def add(tree):
        if isinstance(tree, dict):
            leaves.append(next(iter(tree.items())))
            return len(leaves) - 1, 1
        mode, column, threshold, yes, no, *tracks = tree
        at = len(nodes)
        is_set = mode == "MEMBER"
        nodes.append([modes.index(mode), column, 0.0 if is_set else threshold, *[0] * 4, int(bool(tracks))])
        if is_set:
            members.extend([*threshold, math.nan])
        nodes[at][3:5] = add(yes)
        nodes[at][5:7] = add(no)
        return at, 0

    for tree in trees:
        roots.append(add(tree)[0])
    columns = list(zip(*nodes))

    def of(values):
        return numpy_helper.from_array(np.array(values, dtype))

    attributes = {"membership_values": of(members)} if members else {}
    return helper.make_node(
        "TreeEnsemble",
        ["x"],
        [name],
        domain=ML,
        n_targets=targets,
        aggregate_function=["AVERAGE", "SUM", "MIN", "MAX"].index(aggregate),
        post_transform={"NONE": 0, "SOFTMAX_ZERO": 3, "PROBIT": 4}[transform],
        tree_roots=roots,
        nodes_modes=numpy_helper.from_array(np.array(columns[0], np.uint8)),
        nodes_featureids=columns[1],
        nodes_splits=of(columns[2]),
        nodes_truenodeids=columns[3],
        nodes_trueleafs=columns[4],
        nodes_falsenodeids=columns[5],
        nodes_falseleafs=columns[6],
        nodes_missing_value_tracks_true=columns[7],
        leaf_targetids=[target for target, _ in leaves],
        leaf_weights=of([weight for _, weight in leaves]),
        **attributes,
    )


def version_5(dtype):
    nodes = []
    for mode in MODES:
        trees = [(mode, 0, 0.5, {0: 1}, (mode, 0, 0, {0: 2}, {0: 4}))]
        nodes.append(places(mode.lower(), dtype, trees))
        trees = [(mode, 0, 0.5, (mode, 0, 0, {0: 1}, {0: 2}), {0: 4}, True)]
        nodes.append(places(f"{mode.lower()}_missing", dtype, trees))
    for function in ["SUM", "AVERAGE", "MIN", "MAX"]:
        trees = [("LEQ", 0, 0.5, {0: 1}, {1: 2}), ("GT", 1, 1, {1: 0.5}, {0: -0.5})]
        nodes.append(places(function.lower(), dtype, trees, 2, function))
    if dtype == np.float32:
        shares = [("LEQ", 0, 0, {0: 0.25}, {1: 0.5})]
        nodes.append(places("softmax_zero", dtype, shares, 2, transform="SOFTMAX_ZERO"))
        nodes.append(places("probit", dtype, [("LEQ", 0, 0, {0: 0.25}, {0: 0.5})], transform="PROBIT"))
    rows = [[a, b] for a in EDGES for b in [0, 1, 2, 3, -0.5, np.nan]]
    return built(nodes, 2, rows, dtype, 5)


def members():
    """Only whole numbers: of others, ONNX Runtime cuts the fraction off before it looks into some of the sets."""
    nodes = []
    inner = ("MEMBER", 1, [1, 2], {0: 8}, {1: 16}, True)
    sets = [("MEMBER", 0, [-1, 1], ("LEQ", 1, 0, {0: 1}, inner), ("MEMBER", 1, [3, 0, 1], {0: 2}, {1: 4}))]
    for function in ["SUM", "AVERAGE", "MIN", "MAX"]:
        name = f"members_{function.lower()}"
        nodes.append(places(name, np.float32, sets + [("GT", 1, 1, {1: 0.5}, {0: -0.5})], 2, function))
    return built(nodes, 2, [[a, b] for a in [-2, -1, 0, 1, 2, np.nan] for b in [-1, 0, 1, 2, 3, 40, np.nan]], np.float32, 5)


# What is written.


def element(value):
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def tensor(name, array):
    # The shortest decimal that reads back as the same single-precision number.
    values = [float(str(v)) for v in array.ravel()] if array.dtype == np.float32 else array.ravel().tolist()
    data = [element(value) for value in values]
    datatype = {
        "float32": "FP32",
        "float64": "FP64",
        "int32": "INT32",
        "int64": "INT64",
        "object": "BYTES",
    }[array.dtype.name]
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": data}


cases = {
    "boosting_regressor": sklearn(GradientBoostingRegressor(**BOOSTING).fit(x, hidden)),
    "boosting_binary": sklearn(GradientBoostingClassifier(**BOOSTING).fit(x, two), "zipmap"),
    "boosting_classes": sklearn(GradientBoostingClassifier(**BOOSTING).fit(x, three), "zipmap"),
    "forest_regressor": sklearn(RandomForestRegressor(**FOREST).fit(x, np.column_stack([hidden, x[:, 3] - hidden]))),
    "forest_binary": sklearn(RandomForestClassifier(**FOREST).fit(x, two), "zipmap"),
    "forest_classes": sklearn(RandomForestClassifier(**FOREST).fit(x, three), "zipmap"),
    "lightgbm_regressor": lightgbm_model(lightgbm.LGBMRegressor(**LIGHTGBM).fit(missing, hidden), missing),
    "lightgbm_binary": lightgbm_model(lightgbm.LGBMClassifier(**LIGHTGBM).fit(missing, two), missing),
    "lightgbm_classes": lightgbm_model(lightgbm.LGBMClassifier(**LIGHTGBM).fit(missing, three), missing),
    "lightgbm_categories": lightgbm_model(
        lightgbm.LGBMRegressor(**LIGHTGBM).fit(codes, by_code, categorical_feature=[1]), codes
    ),
    "modes": modes(),
    "aggregates": aggregates(),
    "transforms": transforms(),
    "binary": binary(),
    "texts": texts(),
    "doubles": doubles(),
    "int32": whole(np.int32),
    "int64": whole(np.int64),
    "version_5": version_5(np.float32),
    "version_5_doubles": version_5(np.float64),
    "members": members(),
}
golden = []
for name, (model, inputs) in cases.items():
    model = model.SerializeToString()
    (HERE / f"trees_{name}.onnx").write_bytes(model)
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
lines = ",\n".join(json.dumps(case) for case in golden)
(HERE / "trees.json").write_text(f"[\n{lines}\n]\n")
