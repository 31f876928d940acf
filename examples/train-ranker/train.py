"""Trains a ranker on rows that `recloom export --for training` wrote, and writes it as ONNX with a manifest.

    python train.py --rows DIR --out FOLDER --name ranker [--model lambdamart|attention] [--refit]

lambdamart: LightGBM's LambdaMART (Burges 2010) over the numeric columns of the export.
attention:  a small PyTorch network: the columns, and how the candidate fits the history (scaled dot-product attention of the
            item over the items of the history, newer events first), trained with the softmax cross-entropy of each list.

Both stop early on the validation cuts, are calibrated on them (Platt 1999), and are the same for the same rows and seed. The
manifest (`<name>.json`, format recloom-scorer/1) names its columns by the CEL expressions of the export, so that
scorer-onnx/model computes in serving what was trained on. Nothing of a test window is read: export with --until.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import sys
import time

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import numpy as np
import pyarrow.parquet as parquet

MISSING = 0.0
K = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", required=True, help="folder that the export wrote")
    parser.add_argument("--out", required=True, help="folder for the model and its manifest")
    parser.add_argument("--name", default="ranker", help="file name of the model, without .onnx")
    parser.add_argument("--model", choices=["lambdamart", "attention"], default="lambdamart")
    parser.add_argument("--columns", nargs="*", help="expressions to learn from; default: every numeric feature of the export")
    parser.add_argument("--drop", default="", help="regular expression of columns to leave out")
    parser.add_argument("--refit", action="store_true", help="fit once more on training and validation, for as many rounds as were best")
    parser.add_argument("--rounds", type=int, default=400, help="most trees, or passes over the data")
    parser.add_argument("--patience", type=int, default=40, help="trees (or passes) without a gain on validation before it stops")
    parser.add_argument("--leaves", type=int, default=15)
    parser.add_argument("--rate", type=float, default=0.05, help="learning rate of the trees")
    parser.add_argument("--leaf-rows", type=int, default=200, help="least rows per leaf")
    parser.add_argument("--truncation", type=int, default=20, help="places that LambdaMART looks at")
    parser.add_argument("--width", type=int, default=32, help="attention: numbers per item")
    parser.add_argument("--history", type=int, default=30, help="attention: newest events that are looked at")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fixture", help="also write so many hundred rows with this model's own predictions to this file")
    arguments = parser.parse_args()

    started = time.time()
    data = read_rows(arguments)
    print(f"{len(data.columns)} columns; training {data.train.summary()}; validation {data.validation.summary()}")
    os.makedirs(arguments.out, exist_ok=True)
    path = os.path.join(arguments.out, f"{arguments.name}.onnx")
    if arguments.model == "lambdamart":
        predict, inputs, rounds, output = train_trees(data, arguments, path)
    else:
        predict, inputs, rounds, output = train_attention(data, arguments, path)

    scores = predict(data.validation)
    metrics = {"rounds": rounds, f"ndcg@{K}": round(ndcg(scores, data.validation), 5)}
    for column in data.columns:
        single = ndcg(data.validation.features[:, data.columns.index(column)], data.validation)
        if single > metrics.get("best column", {}).get("ndcg", 0.0):
            metrics["best column"] = {"column": column, "ndcg": round(single, 5)}
    slope, intercept = fit_platt(scores, data.validation.labels > 0)
    difference = check_onnx(path, predict, inputs, data, arguments)
    if arguments.refit:
        again = data.together()
        train = train_trees if arguments.model == "lambdamart" else train_attention
        predict, inputs, _, output = train(again, arguments, path, fixed_rounds=rounds)
        difference = max(difference, check_onnx(path, predict, inputs, data, arguments))

    manifest = {
        "format": "recloom-scorer/1",
        "inputs": inputs,
        "outputs": {
            "taken": {"output": output, "kind": "score", "calibration": {"method": "platt", "a": slope, "b": intercept}},
            "raw": {"output": output, "kind": "score"},
        },
        "main": "raw",
        "training": {
            "by": f"examples/train-ranker/train.py --model {arguments.model}",
            "seed": arguments.seed,
            "refitted": arguments.refit,
            "rows": {"train": data.train.summary(), "validation": data.validation.summary()},
            "cuts": data.schema["cuts"],
            "configHash": data.schema["configHash"],
            "dataHash": data.schema["dataHash"],
            "metrics": metrics,
            "largestDifferenceToOnnx": difference,
            "versions": versions(),
            "sha256": file_hash(path),
        },
    }
    with open(os.path.join(arguments.out, f"{arguments.name}.json"), "w") as file:
        json.dump(manifest, file, indent=2)
        file.write("\n")
    if arguments.fixture:
        write_fixture(arguments.fixture, predict, data, manifest)
    print(json.dumps(metrics))
    print(f"{path}: {os.path.getsize(path):,} bytes, largest difference to ONNX {difference:.2e}, {time.time() - started:.0f} s")


class Rows:
    """Rows of some cuts, grouped: `starts` are the first rows of the groups, in order."""

    def __init__(self, features, labels, groups, items, taken, candidates_only):
        self.features = features
        self.labels = labels
        self.groups = groups
        self.items = items
        self.starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]]) if len(groups) else np.zeros(0, np.int64)
        self.sizes = np.diff(np.r_[self.starts, len(groups)])
        # What was taken and not proposed counts against the ranking: a model cannot find it, and nor can the shop.
        self.taken = taken
        self.candidates_only = candidates_only

    def summary(self):
        return f"{len(self.labels):,} rows, {len(self.starts):,} groups, {int((self.labels > 0).sum()):,} taken"


class Data:
    def __init__(self, schema, columns, train, validation, histories, rows_folder):
        self.schema = schema
        self.columns = columns
        self.train = train
        self.validation = validation
        self.histories = histories
        self.rows_folder = rows_folder

    def together(self):
        both = [self.train, self.validation]
        joined = Rows(
            np.concatenate([rows.features for rows in both]),
            np.concatenate([rows.labels for rows in both]),
            np.concatenate([rows.groups for rows in both]),
            np.concatenate([rows.items for rows in both]),
            np.concatenate([rows.taken for rows in both]),
            True,
        )
        return Data(self.schema, self.columns, joined, self.validation, self.histories, self.rows_folder)


def read_rows(arguments):
    with open(os.path.join(arguments.rows, "schema.json")) as file:
        schema = json.load(file)
    if schema.get("format") != "recloom-training/1":
        sys.exit(f"{arguments.rows} holds no training rows of a format this script knows")
    numeric = [c["name"] for c in schema["columns"] if c["role"] == "feature" and c["type"] == "number" and "expression" in c]
    unknown = set(arguments.columns or []) - set(numeric)
    if unknown:
        sys.exit(f"not in the export: {', '.join(sorted(unknown))}")
    columns = [name for name in arguments.columns or numeric if not (arguments.drop and re.search(arguments.drop, name))]
    table = parquet.read_table(
        os.path.join(arguments.rows, "rows.parquet"), columns=["group", "split", "item", "label", "proposed", *columns]
    )
    proposed = table["proposed"].to_numpy()
    groups = table["group"].to_numpy()
    labels = table["label"].to_numpy().astype(np.float32)
    taken = np.bincount(groups, weights=labels > 0)
    is_train = (table["split"].to_numpy(zero_copy_only=False) == "train") & proposed
    is_validation = (table["split"].to_numpy(zero_copy_only=False) == "validation") & proposed
    items = table["item"].to_numpy(zero_copy_only=False)

    def part(mask):
        features = np.stack([table[name].to_numpy()[mask].astype(np.float32) for name in columns], axis=1)
        # A null of serving becomes the same number: `missing` in the manifest.
        features = np.nan_to_num(features, copy=False, nan=MISSING, posinf=MISSING, neginf=MISSING)
        own = groups[mask]
        first = np.flatnonzero(np.r_[True, own[1:] != own[:-1]]) if len(own) else np.zeros(0, np.int64)
        return Rows(features, labels[mask], own, items[mask], taken[own[first]] if len(own) else np.zeros(0), True)

    train, validation = part(is_train), part(is_validation)
    if len(train.labels) == 0 or len(validation.labels) == 0:
        sys.exit("the export needs rows of training cuts and of a validation cut")
    histories = parquet.read_table(
        os.path.join(arguments.rows, "groups.parquet"), columns=["group", "history", "history_age_days"]
    ).to_pydict()
    by_group = dict(zip(histories["group"], zip(histories["history"], histories["history_age_days"])))
    return Data(schema, columns, train, validation, by_group, arguments.rows)


def ndcg(scores, rows):
    """NDCG@10 as `recloom evaluate` has it: binary gain, ideal cut at min(10, taken), ties by the order of the rows."""
    discounts = 1 / np.log2(np.arange(2, K + 2))
    ideal = np.r_[0.0, np.cumsum(discounts)]
    total = 0.0
    for start, size, taken in zip(rows.starts, rows.sizes, rows.taken):
        best = np.argsort(-scores[start : start + size], kind="stable")[:K]
        gain = (rows.labels[start : start + size][best] > 0) @ discounts[: len(best)]
        total += gain / ideal[min(K, int(taken))]
    return total / max(1, len(rows.starts))


def fit_platt(scores, taken):
    """Platt's sigmoid(a · score + b) by Newton's method, with his targets, which keep it from being too sure."""
    positives, negatives = taken.sum(), (~taken).sum()
    target = np.where(taken, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    scores = scores.astype(np.float64)
    a, b = 1.0, float(np.log((positives + 1) / (negatives + 1)))
    for _ in range(50):
        probability = 1 / (1 + np.exp(-np.clip(a * scores + b, -500, 500)))
        error, weight = probability - target, np.maximum(probability * (1 - probability), 1e-12)
        gradient = np.array([error @ scores, error.sum()])
        hessian = np.array([[weight @ scores**2 + 1e-9, weight @ scores], [weight @ scores, weight.sum() + 1e-9]])
        step = np.linalg.solve(hessian, gradient)
        a, b = a - step[0], b - step[1]
        if np.abs(step).max() < 1e-10:
            break
    return float(a), float(b)


# LambdaMART


def train_trees(data, arguments, path, fixed_rounds=None):
    import lightgbm
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    parameters = {
        "objective": "lambdarank",
        "metric": "None",
        "num_leaves": arguments.leaves,
        "learning_rate": arguments.rate,
        "min_data_in_leaf": arguments.leaf_rows,
        "lambdarank_truncation_level": arguments.truncation,
        "feature_fraction": 0.6,
        "lambda_l2": 10.0,
        "max_bin": 127,
        "seed": arguments.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": arguments.threads,
        "verbose": -1,
    }
    rows = data.train
    dataset = lightgbm.Dataset(rows.features, (rows.labels > 0).astype(int), group=rows.sizes)
    booster = lightgbm.Booster(parameters, dataset)
    best, rounds, scores, state = -1.0, 0, np.zeros(len(data.validation.labels)), None
    most = fixed_rounds or arguments.rounds
    step = 10
    for number in range(1, most + 1):
        booster.update()
        if fixed_rounds or (number % step and number != most):
            continue
        # Added up tree by tree: predicting with all of them at every look would cost more than the training.
        done = number - (number % step or step)
        scores += booster.predict(data.validation.features, start_iteration=done, num_iteration=number - done, num_threads=arguments.threads)
        quality = ndcg(scores, data.validation)
        if quality > best:
            best, rounds, state = quality, number, scores.copy()
        elif number - rounds >= arguments.patience:
            break
    rounds = fixed_rounds or rounds
    text = float32_thresholds(booster.model_to_string(num_iteration=rounds))
    booster = lightgbm.Booster(model_str=text)
    graph = convert_lightgbm(booster, initial_types=[("features", FloatTensorType([None, len(data.columns)]))], zipmap=False, target_opset=15)
    graph.graph.doc_string = ""
    with open(path, "wb") as file:
        file.write(graph.SerializeToString())
    inputs = {"features": {"columns": data.columns, "missing": MISSING}}
    gain = booster.feature_importance("gain")
    for column, share in sorted(zip(data.columns, gain / gain.sum()), key=lambda pair: -pair[1])[:15]:
        print(f"  {share:6.1%}  {column}")

    def predict(rows):
        return booster.predict(rows.features.astype(np.float64), num_threads=arguments.threads)

    return predict, inputs, rounds, graph.graph.output[0].name


def float32_thresholds(model):
    """Each threshold as the largest float32 that is not above it.

    LightGBM's thresholds are doubles and ONNX's are float32. For float32 features x, x <= t and x <= floor32(t) are the same, so
    the booster itself does not change, and its ONNX twin takes the very same branches; rounding to the nearest would not do that.
    """

    def floor32(match):
        values = np.array(match.group(2).split(), np.float64)
        rounded = values.astype(np.float32)
        rounded = np.where(rounded.astype(np.float64) > values, np.nextafter(rounded, np.float32(-np.inf)), rounded)
        return match.group(1) + " ".join(repr(float(value)) for value in rounded)

    text = re.sub(r"^(threshold=)(.+)$", floor32, model, flags=re.MULTILINE)
    # The sizes of the trees' texts are stated in front of them.
    trees = re.split(r"(?=^Tree=\d+$)", text.split("end of trees")[0], flags=re.MULTILINE)[1:]
    sizes = " ".join(str(len(tree)) for tree in trees)
    return re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", text, flags=re.MULTILINE)


# Attention


def train_attention(data, arguments, path, fixed_rounds=None):
    import torch

    torch.manual_seed(arguments.seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(arguments.threads)
    vocabulary = sorted({item for rows in (data.train, data.validation) for item in np.unique(rows.items)})
    number = {item: place + 1 for place, item in enumerate(vocabulary)}
    length = arguments.history
    features = data.train.features
    mean = features.mean(axis=0)
    deviation = features.std(axis=0) + 1e-6

    class Ranker(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.tensor(mean))
            self.register_buffer("deviation", torch.tensor(deviation))
            self.taken = torch.nn.Embedding(len(vocabulary) + 1, arguments.width, padding_idx=0)
            self.wanted = torch.nn.Embedding(len(vocabulary) + 1, arguments.width, padding_idx=0)
            torch.nn.init.normal_(self.taken.weight, std=0.05)
            torch.nn.init.normal_(self.wanted.weight, std=0.05)
            self.fading = torch.nn.Parameter(torch.tensor(-3.0))
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(len(data.columns) + 2, 64), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1)
            )

        def forward(self, features, item, history, age_days, mask):
            """Rows of one list: features [n, f], item [n], history, age_days and mask [1, length] -> score [n]."""
            scaled = torch.clamp((features - self.mean) / self.deviation, -6.0, 6.0)
            wanted = self.wanted(item)
            events = self.taken(history[0])
            closeness = wanted @ events.T / arguments.width**0.5
            faded = closeness - torch.nn.functional.softplus(self.fading) * age_days / 30.0 + (mask - 1.0) * 1e4
            attention = torch.softmax(faded, dim=1) * torch.clamp(mask.sum(), max=1.0)
            context = attention @ events
            fit = (wanted * context).sum(dim=1, keepdim=True)
            near = (closeness * mask).sum(dim=1, keepdim=True) / torch.clamp(mask.sum(), min=1.0)
            return self.layers(torch.cat([scaled, fit, near], dim=1))[:, 0]

    def inputs_of(rows, index):
        start, size = rows.starts[index], rows.sizes[index]
        history, ages = data.histories[int(rows.groups[start])]
        history, ages = history[-length:], ages[-length:]
        pad = length - len(history)
        ids = torch.tensor([[0] * pad + [number.get(item, 0) for item in history]], dtype=torch.int64)
        age = torch.tensor([[0.0] * pad + list(ages)], dtype=torch.float32)
        mask = torch.tensor([[0.0] * pad + [1.0] * len(history)], dtype=torch.float32)
        own = slice(start, start + size)
        item = torch.tensor([number.get(i, 0) for i in rows.items[own]], dtype=torch.int64)
        return torch.from_numpy(rows.features[own]), item, ids, age, mask

    model = Ranker()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-3)
    order = np.random.default_rng(arguments.seed)

    def predict(rows):
        model.eval()
        with torch.no_grad():
            parts = [model(*inputs_of(rows, index)).numpy() for index in range(len(rows.starts))]
        return np.concatenate(parts)

    train = data.train
    # A list without anything taken (what was taken was not proposed) has no target.
    useful = [index for index, (s, n) in enumerate(zip(train.starts, train.sizes)) if (train.labels[s : s + n] > 0).any()]
    lists = [inputs_of(train, index) for index in useful]
    targets = [torch.from_numpy(train.labels[train.starts[i] : train.starts[i] + train.sizes[i]] > 0).float() for i in useful]
    best, rounds, state = -1.0, 0, None
    for epoch in range(1, (fixed_rounds or arguments.rounds) + 1):
        model.train()
        for batch in np.array_split(order.permutation(len(lists)), max(1, len(lists) // 16)):
            loss = 0.0
            for index in batch:
                logarithms = torch.log_softmax(model(*lists[index]), dim=0)
                loss = loss - (logarithms * targets[index]).sum() / targets[index].sum()
            optimiser.zero_grad()
            (loss / len(batch)).backward()
            optimiser.step()
        if fixed_rounds:
            continue
        quality = ndcg(predict(data.validation), data.validation)
        print(f"  pass {epoch}: {quality:.4f}", flush=True)
        if quality > best:
            best, rounds, state = quality, epoch, {name: value.clone() for name, value in model.state_dict().items()}
        elif epoch - rounds >= arguments.patience:
            break
    if not fixed_rounds:
        model.load_state_dict(state)
    rounds = fixed_rounds or rounds
    model.eval()
    sample = inputs_of(data.validation, 0)
    names = ["features", "item", "history", "age_days", "mask"]
    rows = torch.export.Dim("rows", min=1, max=1_000_000)
    program = torch.onnx.export(
        model,
        sample,
        input_names=names,
        output_names=["score"],
        dynamic_shapes=({0: rows}, {0: rows}, None, None, None),
        opset_version=18,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    program.save(path, external_data=False)
    items_file = f"{arguments.name}.items.json"
    with open(os.path.join(arguments.out, items_file), "w") as file:
        json.dump(vocabulary, file)
        file.write("\n")
    items = {"file": items_file}
    inputs = {
        "features": {"columns": data.columns, "missing": MISSING},
        "item": {"category": "item.id", "vocabulary": items},
        "history": {"history": "ids", "length": length, "vocabulary": items},
        "age_days": {"history": "ageDays", "length": length},
        "mask": {"history": "mask", "length": length},
    }
    predict.inputs_of = inputs_of
    predict.names = names
    return predict, inputs, rounds, "score"


# Truth


def check_onnx(path, predict, inputs, data, arguments):
    """The largest difference between the trainer's own predictions and onnxruntime's on the first validation lists."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    part = first_groups(data.validation, 8)
    expected = predict(part)
    if hasattr(predict, "inputs_of"):
        lists = [dict(zip(predict.names, (value.numpy() for value in predict.inputs_of(part, i)))) for i in range(len(part.starts))]
    else:
        lists = [{"features": part.features[s : s + n]} for s, n in zip(part.starts, part.sizes)]
    names = {value.name for value in session.get_inputs()}
    found = [session.run(None, {k: v for k, v in feeds.items() if k in names})[0].reshape(-1) for feeds in lists]
    difference = float(np.abs(np.concatenate(found) - expected).max())
    if not difference <= 1e-4:
        sys.exit(f"the ONNX file differs from the trained model by {difference}")
    return difference


def first_groups(rows, count):
    end = int(rows.starts[count]) if count < len(rows.starts) else len(rows.labels)
    return Rows(rows.features[:end], rows.labels[:end], rows.groups[:end], rows.items[:end], rows.taken[:count], True)


def write_fixture(path, predict, data, manifest):
    """A few hundred validation rows (every third of some lists) with the trainer's own predictions in float64: for tests of what serves it."""
    part = first_groups(data.validation, 4)
    keep = np.flatnonzero(np.arange(len(part.labels)) % max(1, len(part.labels) // 300) == 0)
    rows = Rows(part.features[keep], part.labels[keep], part.groups[keep], part.items[keep], part.taken, True)
    expected = predict(rows)
    lists = []
    for index, (start, size) in enumerate(zip(rows.starts, rows.sizes)):
        entry = {
            "items": rows.items[start : start + size].tolist(),
            "features": [[float(value) for value in row] for row in rows.features[start : start + size]],
            "expected": [float(value) for value in expected[start : start + size]],
        }
        if hasattr(predict, "inputs_of"):
            _, _, ids, age, mask = predict.inputs_of(rows, index)
            entry.update(history=ids[0].tolist(), age_days=[float(v) for v in age[0]], mask=mask[0].tolist())
        lists.append(entry)
    with open(path, "w") as file:
        json.dump({"columns": data.columns, "sha256": manifest["training"]["sha256"], "lists": lists}, file)
        file.write("\n")


def versions():
    names = {}
    for name in ("lightgbm", "torch", "onnxmltools", "onnx", "onnxruntime", "numpy"):
        module = sys.modules.get(name)
        if module is not None:
            names[name] = module.__version__
    return {"python": platform.python_version(), **names}


def file_hash(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


if __name__ == "__main__":
    main()
