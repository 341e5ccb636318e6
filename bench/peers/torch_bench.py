"""Measures PyTorch on a checkpoint of ours; prints one JSON object a line.

    torch_bench.py train CHECKPOINT [--length 1024] [--batch 8] [--steps 5] [--compile] [--bf16] [--chunk 16]
    torch_bench.py decode CHECKPOINT [--prefix 512] [--tokens 100] [--batch 1] [--compile] [--bf16]
    torch_bench.py chunk CHECKPOINT [--compile] [--bf16]

train: whole steps: forward, cross-entropy, backward, clipping, AdamW. decode: one token at a time with carried state (the
recurrence of the Legendre memory; keys and values of `prefix` earlier tokens). chunk: which of 8, 16 and 32 steps a chunk is
fastest, by training steps of the first layer alone. The token ids are those of bench_lmu, so the loss of the first step must be
that of ours."""

import argparse
import json
import resource
import statistics
import time

import torch
import torch._inductor.config as inductor
import torch.nn.functional as F
import torch_models

CHUNKS = (8, 16, 32)


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def token_ids(count, vocabulary, series):
    """As bench/measure.c draws them."""
    i = 2 * torch.arange(count, dtype=torch.int64) + series
    return (((i * 2654435761) & 0xFFFFFFFF) >> 8) % vocabulary


class Training:
    def __init__(self, model, options):
        self.model, self.options = model, options
        self.forward = torch.compile(model) if options.compile else model
        decays = lambda p: p.ndim > 1 and p.shape[-1] != model.config["order"]
        groups = [[p for p in model.parameters() if decays(p) is which] for which in (True, False)]
        self.optimiser = torch.optim.AdamW([{"params": groups[0], "weight_decay": 0.1}, {"params": groups[1], "weight_decay": 0.0}],
                                           lr=1e-4, betas=(0.9, 0.95), eps=1e-8, fused=True)
        count, v = options.batch * options.length, model.config["vocabulary"]
        self.ids, self.targets = token_ids(count, v, 0).view(options.batch, -1), token_ids(count, v, 1).view(options.batch, -1)

    def step(self):
        """Seconds, of the clock and of the CPU, and loss."""
        start, cpu = time.perf_counter(), time.process_time()
        self.optimiser.zero_grad()
        rows, total = self.options.micro_batch or self.options.batch, 0
        for ids, targets in zip(self.ids.split(rows), self.targets.split(rows)):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.options.bf16):
                logits = self.forward(ids)
            loss = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="sum") / self.ids.numel()
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        return time.perf_counter() - start, time.process_time() - cpu, total


def layout(options):
    return options.layout or ("rows" if options.bf16 else "columns")


def train(options):
    idle = peak_mib()
    training = Training(torch_models.load(options.checkpoint, options.chunk, layout(options)), options)
    first = training.step()
    training.step()
    steps = [training.step() for _ in range(options.steps)]
    seconds, cpu = (statistics.median(s[i] for s in steps) for i in (0, 1))
    return {"seconds": seconds, "cpu_seconds": cpu, "tokens_per_second": options.batch * options.length / seconds, "loss": first[2],
            "idle_mib": idle, "peak_mib": peak_mib(), "chunk": options.chunk, "layout": layout(options), "first_seconds": first[0]}


def choose_chunk(options):
    options.batch = min(options.batch, 2)
    if torch_models.load_config(options.checkpoint)["arch"] == "transformer":
        return {"chunk": options.chunk}
    trials = {c: Training(torch_models.load(options.checkpoint, c, layout(options), layers=1), options) for c in CHUNKS}
    seconds = {c: [] for c in CHUNKS}
    for _ in range(7):  # in turn: machines drift
        for c, trial in trials.items():
            seconds[c].append(trial.step()[0])
    seconds = {c: statistics.median(s[2:]) for c, s in seconds.items()}
    return {"chunk": min(seconds, key=seconds.get), "trials": {str(c): round(s, 4) for c, s in seconds.items()}}


@torch.no_grad()
def decode(options):
    idle = peak_mib()
    model = torch_models.load(options.checkpoint)
    count = options.prefix + options.tokens + 1
    ids = token_ids(options.batch * count, model.config["vocabulary"], 0).view(count, options.batch)
    state = model.state(options.batch, torch.bfloat16 if options.bf16 else torch.float32)
    inductor.freezing = True  # the weights as constants, packed
    step = torch.compile(model.decode, dynamic=True) if options.compile else model.decode
    seconds, cpu = [], []
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.bf16):
        for position, now in enumerate(ids):
            start, before = time.perf_counter(), time.process_time()
            step(now, state, position)
            seconds.append(time.perf_counter() - start)
            cpu.append(time.process_time() - before)
    seconds, cpu = seconds[options.prefix + 1 :], cpu[options.prefix + 1 :]
    return {"seconds": statistics.median(seconds), "cpu_seconds": statistics.median(cpu), "idle_mib": idle, "peak_mib": peak_mib(), "prefix": options.prefix}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "decode", "chunk"])
    parser.add_argument("checkpoint")
    for name, value in dict(length=1024, batch=0, micro_batch=0, steps=5, prefix=512, tokens=100, threads=0, chunk=16).items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=value)
    parser.add_argument("--layout", choices=["rows", "columns"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    options = parser.parse_args()
    options.batch = options.batch or (1 if options.what == "decode" else 8)
    if options.threads:
        torch.set_num_threads(options.threads)
    config = torch_models.load_config(options.checkpoint)
    result = {"train": train, "decode": decode, "chunk": choose_chunk}[options.what](options)
    mode = ("compile" if options.compile else "eager") + (" bf16" if options.bf16 else " f32")
    line = {"peer": "torch " + torch.__version__, "what": options.what, "arch": config["arch"], "mode": mode, "dim": config["dim"],
            "layers": config["layers"], "order": config["order"], "vocabulary": config["vocabulary"], "length": options.length,
            "batch": options.batch, "threads": torch.get_num_threads(), **result}
    print(json.dumps({k: round(v, 6) if isinstance(v, float) else v for k, v in line.items()}), flush=True)


if __name__ == "__main__":
    main()
