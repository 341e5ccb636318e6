"""Our models and PyTorch's compute the same function: logits, losses and every parameter's gradient, in f32.

    compare.py PRINT_GRADIENTS

Checkpoints with drawn parameters are written, both programs open them, and the largest difference of each tensor must be at most
LIMIT of the tensor's largest number. The peer's other ways to compute a model (order of axes, chunk, one token at a time) are
held to the same."""

import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "bench" / "peers"))
import torch_models  # noqa: E402

LIMIT = 1e-4
BASE = dict(arch="lmu", vocabulary=300, dim=64, layers=3, order=8, reduced=0, theta=[32.0], scaled=False, norm="layer", feed_forward="gelu",
            feed_width=4.0, heads=0, context=256, dropout=0.0)
CASES = {
    "lmu, order 8": {},
    "lmu, order 16, theta by layer": dict(order=16, theta=[8.0, 50.5, 200.0]),
    "lmu, reduced 5, scaled, rms, swiglu": dict(order=12, reduced=5, scaled=True, norm="rms", feed_forward="swiglu", feed_width=2.5, dim=80),
    "lmu-paper": dict(arch="lmu-paper", dim=96),
    "transformer": dict(arch="transformer", dim=128),
    "transformer, relu2, 3 heads": dict(arch="transformer", dim=96, heads=3, norm="rms", feed_forward="relu2"),
}
LENGTHS = (1, 77, 128, 201)  # of the rows: whole chunks and others


def write_checkpoint(config, directory):
    model = torch_models.Model(config)
    drawn = {}
    for name, parameter in model.named_parameters():
        size = 0.02 if "embedding" in name or "position" in name else 0.5 / parameter.shape[-1] ** 0.5
        drawn[model.our_name(name)] = torch.randn(parameter.shape) * size + (1.0 if "norm.weight" in name else 0.0)
    (directory / "config.json").write_text(json.dumps(config))
    save_file(drawn, directory / "model.safetensors")


def forward(model, rows):
    return torch.cat([model(row[None, :-1])[0] for row in rows])


@torch.no_grad()
def decode(model, rows):
    found = []
    for row in rows:
        state = model.state(1)
        found += [model.decode(token[None], state, position) for position, token in enumerate(row[:-1])]
    return torch.cat(found)


class Differences:
    def __init__(self):
        self.largest, self.where = 0.0, ""

    def add(self, name, theirs, ours):
        difference = ((theirs - ours).abs().max() / ours.abs().max()).item()
        if not difference <= self.largest:  # a NaN is the largest
            self.largest, self.where = difference, name


def compare(program, changes, directory):
    config = {**BASE, **changes}
    write_checkpoint(config, directory)
    rows = [torch.randint(0, config["vocabulary"], (length + 1,)) for length in LENGTHS]
    (directory / "ids").write_text("".join(" ".join(map(str, row.tolist())) + "\n" for row in rows))
    subprocess.run([program, directory, directory / "ids", directory], check=True)
    outputs, gradients = load_file(directory / "outputs.safetensors"), load_file(directory / "gradients.safetensors")

    found = Differences()
    ways = [(16, "columns")] if config["arch"] == "transformer" else [(8, "rows"), (16, "columns"), (32, "rows"), (32, "columns")]
    for chunk, layout in ways:
        model = torch_models.load(directory, chunk, layout)
        logits = forward(model, rows)
        losses = F.cross_entropy(logits, torch.cat([row[1:] for row in rows]), reduction="none")
        losses.mean().backward()
        found.add("logits", logits, outputs["logits"])
        found.add("losses", losses, outputs["losses"])
        theirs = {model.our_name(name): parameter.grad for name, parameter in model.named_parameters()}
        if theirs.keys() != gradients.keys():
            raise SystemExit(f"not the same parameters: {theirs.keys() ^ gradients.keys()}")
        for name, gradient in theirs.items():
            found.add("gradient of " + name, gradient, gradients[name])
    found.add("logits, token by token", decode(model, rows), outputs["logits"])
    return found


def main():
    torch.manual_seed(1)
    failed = 0
    for name, changes in CASES.items():
        with tempfile.TemporaryDirectory() as directory:
            found = compare(sys.argv[1], changes, pathlib.Path(directory))
        failed += not found.largest <= LIMIT
        print(f"{name}: largest relative difference {found.largest:.1e} ({found.where}){'' if found.largest <= LIMIT else ': FAILED'}", flush=True)
    print(f"torch {torch.__version__}: {len(CASES) - failed} models agree to {LIMIT:g}, {failed} do not")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
