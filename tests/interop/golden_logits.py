"""The logits that tests/golden/checkpoint/logits.json holds are those of the formulas: the model of Chilkuri et al. 2021 written
once more in NumPy and double, step by step, with scipy's zero-order hold.

Argument: the path of lmu (not used). With --write as a second argument the file is written anew.
"""

import json
import pathlib
import sys

import numpy
import scipy.signal
import scipy.special
from safetensors.numpy import load_file

CHECKPOINT = pathlib.Path(__file__).parent.parent / "golden" / "checkpoint"
LOGITS = CHECKPOINT / "logits.json"
IDS = [(7 * i * i + 3 * i) % 272 for i in range(75)]
LIMIT = 1e-9


def gelu(x):
    return x * 0.5 * (1 + scipy.special.erf(x / numpy.sqrt(2)))


def layer_norm(x, gain, bias):
    mean = x.mean(-1, keepdims=True)
    deviation = numpy.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-5)
    return (x - mean) / deviation * gain + bias


def discretise(order, theta):
    i, j = numpy.mgrid[0:order, 0:order]
    a = (2 * i + 1) * numpy.where(i < j, -1.0, (-1.0) ** (i - j + 1)) / theta
    b = ((2 * i[:, 0] + 1) * (-1.0) ** i[:, 0])[:, None] / theta
    abar, bbar, *_ = scipy.signal.cont2discrete((a, b, numpy.eye(order), numpy.zeros((order, 1))), 1.0, "zoh")
    return abar, bbar


def memory(x, theta, order, weight, bias, pool):
    """x [T x D] to y [T x D]: section 3 of the paper, one step after the other."""
    abar, bbar = discretise(order, theta)
    state = numpy.zeros((order, x.shape[1]))
    y = numpy.empty_like(x)
    for t in range(len(x)):
        state = abar @ state + bbar @ x[t : t + 1]
        query, key, value = numpy.split(gelu(weight @ state + bias[:, None]), 3)
        scores = query @ key.T / numpy.sqrt(x.shape[1])
        y[t] = pool @ scipy.special.softmax(scores, axis=-1) @ value
    return y


def logits():
    """The logits behind the last of IDS."""
    config = json.loads((CHECKPOINT / "config.json").read_text())
    p = {name: array.astype(numpy.float64) for name, array in load_file(CHECKPOINT / "model.safetensors").items()}
    x = p["embedding.weight"][IDS]
    for layer in range(config["layers"]):
        here = {name.removeprefix(f"layer.{layer}."): array for name, array in p.items()}
        m = layer_norm(x, here["memory.norm.weight"], here["memory.norm.bias"])
        m = memory(m, config["theta"][layer], config["order"], here["memory.qkv.weight"], here["memory.qkv.bias"], here["memory.pool"])
        x = x + m @ here["memory.out.weight"].T
        f = layer_norm(x, here["ffn.norm.weight"], here["ffn.norm.bias"])
        f = gelu(f @ here["ffn.up.weight"].T + here["ffn.up.bias"])
        x = x + f @ here["ffn.down.weight"].T + here["ffn.down.bias"]
    return p["embedding.weight"] @ layer_norm(x[-1], p["norm.weight"], p["norm.bias"])


def main():
    found = logits()
    if "--write" in sys.argv:
        LOGITS.write_text(json.dumps({"ids": IDS, "logits": found.tolist()}) + "\n")
    stored = json.loads(LOGITS.read_text())
    difference = numpy.abs(found - stored["logits"]).max()
    print(f"{len(found)} logits of the stored checkpoint behind {len(IDS)} ids: largest {numpy.abs(found).max():.3f}, difference {difference:.2e}")
    return int(stored["ids"] != IDS or not difference <= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
