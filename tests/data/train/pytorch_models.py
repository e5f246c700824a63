"""Trains the PyTorch model of the tests, in the runtime that will serve it.

usage: pytorch_models.py OUT      writes OUT/model/model.pt and OUT/only/net.pth (TorchScript), OUT/weights/iris.pth (a state_dict)
                                  and OUT/expected.json
"""
import json
import os
import sys

import numpy
import torch

# Three clouds of points: scikit-learn is not there to load iris.
CENTRES = ((0, 0, 1, 0), (3, 1, 0, 2), (1, 4, 2, 5))


def network():
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))


def fit(data, labels):
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(data), labels).backward()
        optimizer.step()
    return model.eval()


def main(out):
    torch.manual_seed(1)
    random = numpy.random.RandomState(1)
    points = numpy.concatenate([centre + random.normal(0, 0.5, (40, 4)) for centre in CENTRES]).astype("float32")
    model = fit(torch.from_numpy(points), torch.arange(3).repeat_interleave(40))
    for name in ("model", "only", "weights"):
        os.makedirs(os.path.join(out, name))
    torch.jit.script(model).save(os.path.join(out, "model", "model.pt"))
    torch.jit.script(model).save(os.path.join(out, "only", "net.pth"))
    torch.save(model.state_dict(), os.path.join(out, "weights", "iris.pth"))
    rows = points[[0, 50, 100]]
    with torch.no_grad():
        scores = model(torch.from_numpy(rows))
    with open(os.path.join(out, "expected.json"), "w") as file:
        json.dump({"framework": "pytorch", "version": torch.__version__, "rows": rows.tolist(), "scores": scores.tolist(),
                   "probabilities": torch.softmax(scores, 1).tolist()}, file)


main(sys.argv[1])
