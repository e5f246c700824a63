"""Selectable inference of AWS's XGBoost container: SAGEMAKER_INFERENCE_OUTPUT names what an answer holds.

What a key means depends on the objective that the model was trained for; a key that
an objective does not have is NaN, as there.
"""
import json

import smfs_recordio as recordio

NAN = float("nan")
SCORE = ("predicted_score",)
LABEL = ("predicted_label", "labels", "raw_score", "raw_scores")
ALL = LABEL + ("probability", "probabilities")
# objective: its keys, the predicted label of one raw prediction
OBJECTIVES = {
    "reg:squarederror": (SCORE, None),
    "reg:logistic": (SCORE, None),
    "reg:gamma": (SCORE, None),
    "reg:tweedie": (SCORE, None),
    "binary:logistic": (ALL, lambda raw: int(raw > 0.5)),
    "binary:logitraw": (LABEL, lambda raw: int(raw > 0)),
    "binary:hinge": (LABEL, lambda raw: raw.item()),
    "multi:softmax": (LABEL, lambda raw: raw.item()),
    "multi:softprob": (ALL, lambda raw: raw.argmax().item()),
}


def one(raw):
    """The score of the winning class."""
    return max(raw).item() if raw.ndim else raw.item()


def every(raw):
    """The scores of all classes; of two, the first is what the second leaves."""
    return raw.tolist() if raw.ndim else [1.0 - raw.item(), raw.item()]


def labels(objective, classes):
    if objective.startswith("binary:"):
        return [0, 1]
    return list(range(int(classes))) if classes else NAN


def selected(predictions, keys, objective, classes):
    """A dict of the keys for each raw prediction."""
    if objective not in OBJECTIVES:
        raise ValueError("Objective `%s` unsupported for selectable inference predictions." % objective)
    known, label = OBJECTIVES[objective]
    values = {"predicted_label": label, "labels": lambda raw: labels(objective, classes),
              "raw_score": one, "probability": one, "raw_scores": every, "probabilities": every,
              "predicted_score": one}
    return [{key: values[key](raw) if key in known else NAN for key in keys} for raw in predictions]


def csv_line(row, keys):
    return ",".join('"%s"' % row[key] if isinstance(row[key], list) else str(row[key]) for key in keys)


def encoded(rows, keys, accept, batch):
    """The rows in the type that was asked for: those three, else records."""
    if accept == "application/json":
        return json.dumps({"predictions": rows})
    if accept == "application/jsonlines":
        return "".join(json.dumps(row) + "\n" for row in rows)
    if accept == "text/csv":
        return "\n".join(csv_line(row, keys) for row in rows) + ("\n" if batch else "")
    return recordio.written(rows)
