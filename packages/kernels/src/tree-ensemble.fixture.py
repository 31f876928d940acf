"""Writes tree-ensemble.fixture.json: tree ensembles in ONNX's own attributes, rows, what onnxruntime makes of them, and what the
trainer itself predicts (float64).

    python3 -m venv /tmp/trees && /tmp/trees/bin/pip install lightgbm==4.7.0 xgboost==3.2.0 scikit-learn onnx onnxmltools==1.16.0 \
        skl2onnx onnxruntime==1.32.0
    /tmp/trees/bin/python packages/kernels/src/tree-ensemble.fixture.py
"""

import base64
import json
import pathlib
import warnings

import lightgbm
import numpy
import onnx
import onnxruntime
import onnxmltools
import sklearn
import skl2onnx
import xgboost
from onnx import TensorProto, helper
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx.common.data_types import FloatTensorType as SklFloatTensorType
from sklearn.ensemble import RandomForestRegressor

warnings.filterwarnings("ignore")
random = numpy.random.default_rng(7)
WIDTH = 6
MODES = ["LEAF", "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]


def packed(values):
    return base64.b64encode(numpy.asarray(values, dtype="<f4").tobytes()).decode()


def packed64(values):
    return base64.b64encode(numpy.asarray(values, dtype="<f8").tobytes()).decode()


def run(model, rows):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: rows})[-1]


def attributes(model):
    node = next(node for node in model.graph.node if node.op_type.startswith("TreeEnsemble"))
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def entry(name, made_by, model, rows, trained=None):
    found = attributes(model)
    nodes = {
        "treeIds": found["nodes_treeids"],
        "nodeIds": found["nodes_nodeids"],
        "featureIds": found["nodes_featureids"],
        "modes": [MODES.index(mode.decode()) for mode in found["nodes_modes"]],
        "values": packed(found["nodes_values"]),
        "trueNodeIds": found["nodes_truenodeids"],
        "falseNodeIds": found["nodes_falsenodeids"],
    }
    if "nodes_missing_value_tracks_true" in found:
        nodes["missingTracksTrue"] = found["nodes_missing_value_tracks_true"]
    output = run(model, rows)
    return {
        "name": name,
        "madeBy": made_by,
        "featureCount": rows.shape[1],
        "targetCount": found.get("n_targets", 1),
        "aggregate": found.get("aggregate_function", b"SUM").decode(),
        "baseValues": packed(found["base_values"]) if "base_values" in found else None,
        "nodes": nodes,
        "targets": {
            "treeIds": found["target_treeids"],
            "nodeIds": found["target_nodeids"],
            "targetIds": found["target_ids"],
            "weights": packed(found["target_weights"]),
        },
        "rows": packed(rows.reshape(-1)),
        "onnxruntime": packed(output.reshape(-1)),
        "trainer": None if trained is None else packed64(trained.reshape(-1)),
    }


def data(count):
    x = random.normal(size=(count, WIDTH)).astype(numpy.float32)
    x[:, 5] = random.integers(0, 12, count)
    x[random.random(x.shape) < 0.08] = numpy.nan
    filled = numpy.nan_to_num(x)
    y = numpy.sin(filled[:, 0] * 2) + filled[:, 1] * filled[:, 2] + 0.5 * (filled[:, 5] % 3) + numpy.isnan(x[:, 3])
    return x, y + random.normal(size=count) * 0.1


def hostile(count):
    rows = data(count)[0]
    rows[0, :] = numpy.nan
    rows[1, :] = numpy.inf
    rows[2, :] = -numpy.inf
    rows[3, :] = 0
    rows[4, :] = -0.0
    return rows


def gradient_boosting(name, categorical, leaves, trees):
    x, y = data(1500)
    options = dict(objective="regression", num_leaves=leaves, learning_rate=0.1, verbose=-1, num_threads=1, seed=3, deterministic=True)
    categories = [5] if categorical else "auto"
    model = lightgbm.train(options, lightgbm.Dataset(x, y, categorical_feature=categories), trees)
    rows = data(40)[0] if categorical else hostile(40)
    converted = onnxmltools.convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, WIDTH]))], target_opset=15)
    return entry(name, f"lightgbm {lightgbm.__version__}, onnxmltools {onnxmltools.__version__}", converted, rows, model.predict(rows))


def extreme_boosting():
    x, y = data(1500)
    model = xgboost.XGBRegressor(n_estimators=20, max_depth=4, learning_rate=0.2, random_state=3, n_jobs=1).fit(x, y)
    rows = hostile(40)
    rows[1:3] = data(2)[0]  # xgboost refuses infinite features
    converted = onnxmltools.convert_xgboost(model, initial_types=[("x", FloatTensorType([None, WIDTH]))], target_opset=15)
    return entry("xgboost", f"xgboost {xgboost.__version__}, onnxmltools {onnxmltools.__version__}", converted, rows, model.predict(rows))


def forest():
    x, y = data(1500)
    x = numpy.nan_to_num(x)
    both = numpy.stack([y, y**2], axis=1)
    model = RandomForestRegressor(n_estimators=2, max_leaf_nodes=90, random_state=3).fit(x, both)
    rows = numpy.nan_to_num(data(40)[0])
    converted = skl2onnx.convert_sklearn(model, initial_types=[("x", SklFloatTensorType([None, WIDTH]))], target_opset=15)
    made_by = f"scikit-learn {sklearn.__version__}, skl2onnx {skl2onnx.__version__}"
    return entry("random forest of two targets, 90 leaves", made_by, converted, rows, model.predict(rows))


def written(aggregate, modes, missing):
    """Trees nobody would train: every kind of comparison, thresholds at the edges of float32, leaves of several targets."""
    edges = [0.0, -0.0, 1.0, -1.0, numpy.inf, -numpy.inf, numpy.nan, 1e-45, -1e-45, 3.4028235e38, 2.0, 3.0]
    nodes = {key: [] for key in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true")}
    targets = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    for tree in range(4):
        ids = iter(range(1000))

        def add(depth):
            own = next(ids)
            at = len(nodes["treeids"])
            leaf = depth == 0 or (depth < 3 and random.random() < 0.2)
            nodes["treeids"].append(tree)
            nodes["nodeids"].append(own)
            nodes["featureids"].append(0 if leaf else int(random.integers(WIDTH)))
            nodes["modes"].append("LEAF" if leaf else str(random.choice(modes)))
            nodes["values"].append(0.0 if leaf else float(random.choice(edges) if random.random() < 0.5 else random.normal()))
            nodes["missing_value_tracks_true"].append(0 if leaf else int(random.integers(2)))
            nodes["truenodeids"].append(0)
            nodes["falsenodeids"].append(0)
            if leaf:
                # Every row meets both targets: where none is met onnxruntime leaves out the base value, unlike the operator's definition.
                for target in random.permutation(2)[: 2 if tree == 0 else random.integers(1, 3)]:
                    targets["treeids"].append(tree)
                    targets["nodeids"].append(own)
                    targets["ids"].append(int(target))
                    targets["weights"].append(float(numpy.float32(random.normal())))
            else:
                nodes["truenodeids"][at] = add(depth - 1)
                nodes["falsenodeids"][at] = add(depth - 1)
            return own

        add(4)
    if not missing:
        del nodes["missing_value_tracks_true"]
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=2,
        aggregate_function=aggregate,
        post_transform="NONE",
        base_values=[0.25, -1.5],
        **{f"nodes_{key}": value for key, value in nodes.items()},
        **{f"target_{key}": value for key, value in targets.items()},
    )
    graph = helper.make_graph(
        [node],
        "written",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=8)
    rows = hostile(60)
    rows[20:40] = random.choice(numpy.array(edges, dtype=numpy.float32), size=(20, WIDTH))
    name = f"{aggregate}, {' '.join(modes)}, {'missing values tracked' if missing else 'missing values not tracked'}"
    return entry(name, "written by hand", model, rows)


ALL = MODES[1:]
ensembles = [
    gradient_boosting("lightgbm", False, 31, 10),
    gradient_boosting("lightgbm with a category", True, 15, 4),
    extreme_boosting(),
    forest(),
    *[written("SUM", [mode], missing) for mode in ALL for missing in (False, True)],
    *[written(aggregate, ALL, True) for aggregate in ("SUM", "AVERAGE", "MIN", "MAX")],
]
fixture = {"madeBy": f"onnxruntime {onnxruntime.__version__}, one thread", "modes": MODES, "ensembles": ensembles}
path = pathlib.Path(__file__).with_name("tree-ensemble.fixture.json")
path.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
print(path.stat().st_size)
