"""The architectures `lmu`, `lmu-paper` and `transformer` once more, in PyTorch: docs/model.md is what both programs follow.

`load` opens a checkpoint directory of ours; parameters keep the names that they have in model.safetensors, so gradients can be
compared by name. The Legendre memory is computed by chunks (docs/model.md, "Ways to compute it") and stays f32 under autocast;
a single token follows the recurrence. Shapes: B batch, T time, D channels, Q order, P reduced order, C chunk, K chunks, H heads.
"""

import json
import math
import pathlib

import numpy
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from scipy.linalg import expm
from torch import nn


def legendre_system(order, theta, scaled):
    """The zero-order hold of the delay system, step 1: Abar [Q,Q], Bbar [Q], in double."""
    i, j = numpy.mgrid[0:order, 0:order]
    a = (2 * i + 1) * numpy.where(i < j, -1.0, (-1.0) ** (i - j + 1)) / theta
    b = (2 * i[:, 0] + 1) * (-1.0) ** i[:, 0] / theta
    if scaled:
        row = numpy.sqrt(theta / (2 * numpy.arange(order) + 1))
        a, b = row[:, None] * a / row, row * b
    whole = numpy.zeros((order + 1, order + 1))
    whole[:order, :order], whole[:order, order] = a, b
    exponential = expm(whole)
    return exponential[:order, :order], exponential[:order, order]


def chunk_matrix(order, theta, scaled, chunk):
    """W [C,Q,Q+C]: the states M_1..M_C = W [M_0; x_1..x_C]."""
    abar, bbar = legendre_system(order, theta, scaled)
    w = numpy.zeros((chunk, order, order + chunk))
    w[0, :, :order] = abar
    for t in range(chunk):
        if t:
            w[t] = abar @ w[t - 1]
        w[t, :, order + t] += bbar
    return torch.tensor(w, dtype=torch.float32)


# The scan over chunks is an operator of its own: autograd would record, and torch.compile unroll, each of its T / C small steps.
@torch.library.custom_op("lmu::scan", mutates_args=())
def scan(step: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """step [Q,Q], inputs [B,K,Q,D] -> the states at the chunks' starts: s_0 = 0, s_k+1 = step s_k + inputs_k."""
    states = torch.zeros_like(inputs)
    step = step.expand(len(inputs), -1, -1)
    for k in range(1, inputs.shape[1]):
        states[:, k] = torch.baddbmm(inputs[:, k - 1], step, states[:, k - 1])
    return states


@scan.register_fake
def _(step, inputs):
    return torch.empty_like(inputs)


@torch.library.custom_op("lmu::scan_back", mutates_args=())
def scan_back(step: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    result = torch.zeros_like(gradient)
    step = step.t().expand(len(gradient), -1, -1)
    for k in range(gradient.shape[1] - 1, 0, -1):
        result[:, k - 1] = torch.baddbmm(gradient[:, k], step, result[:, k])
    return result


@scan_back.register_fake
def _(step, gradient):
    return torch.empty_like(gradient)


def scan_setup(ctx, inputs, output):
    ctx.save_for_backward(inputs[0])


def scan_gradient(ctx, gradient):
    return None, scan_back(ctx.saved_tensors[0], gradient.contiguous())


scan.register_autograd(scan_gradient, setup_context=scan_setup)


def left(weight, x):
    """weight [M,K] times each x [N,K,D]."""
    return torch.bmm(weight.expand(len(x), -1, -1), x)


class Memory(nn.Module):
    """Legendre memory and implicit attention, x [B,T,D] to y [B,T,D]; state [B,Q,D].

    The order of axes is a choice: `rows` has the state's coefficients last, so that all products are F.linear, which in bf16 is
    fastest; `columns` has channels last, as x has, which saves the transpositions and in f32 is fastest."""

    def __init__(self, config, layer, chunk, layout):
        super().__init__()
        self.order, self.reduced = config["order"], config["reduced"] or config["order"]
        if config.get("theta_groups"):
            raise ValueError("here a layer has one theta, and this model has one for each group of channels: save it with --theta")
        theta = config["theta"][layer if len(config["theta"]) > 1 else 0]
        self.chunk, self.layout = chunk, layout
        self.qkv = nn.Linear(self.order, 3 * self.reduced)
        self.pool = nn.Parameter(torch.empty(self.reduced))
        self.out = nn.Linear(config["dim"], config["dim"], bias=False)
        w = chunk_matrix(self.order, theta, config["scaled"], chunk)
        self.register_buffer("w", w.view(chunk * self.order, -1), persistent=False)
        self.register_buffer("jump", w[-1, :, : self.order].contiguous(), persistent=False)
        self.register_buffer("last", w[-1, :, self.order :].contiguous(), persistent=False)
        self.register_buffer("step", w[0, :, : self.order + 1].contiguous(), persistent=False)

    def forward(self, x):
        b, t, d = x.shape
        x = F.pad(x, (0, 0, 0, -t % self.chunk)) if t % self.chunk else x
        with torch.autocast("cpu", enabled=False):
            x = x.float().view(-1, self.chunk, d)  # [BK,C,D]
            starts = scan(self.jump, left(self.last, x).view(b, -1, self.order, d)).view(-1, self.order, d)
        y = (self.rows if self.layout == "rows" else self.columns)(x, starts)
        return self.out(y.view(b, -1, d)[:, :t])

    def columns(self, x, starts):
        d = x.shape[-1]
        with torch.autocast("cpu", enabled=False):
            m = left(self.w, torch.cat([starts, x], 1)).view(-1, self.order, d)
        return self.attend(m)

    def attend(self, m):
        """m [N,Q,D] -> [N,D]"""
        q, k, v = F.gelu(left(self.qkv.weight, m) + self.qkv.bias[:, None]).split(self.reduced, 1)
        weights = torch.softmax(torch.bmm(q, k.transpose(1, 2)).float() / math.sqrt(m.shape[-1]), -1)
        return torch.bmm((self.pool[:, None] * weights).sum(1, keepdim=True).to(v.dtype), v).squeeze(1)

    def rows(self, x, starts):
        d = x.shape[-1]
        bf16 = torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False):
            m = F.linear(torch.cat([starts, x], 1).transpose(1, 2).contiguous(), self.w).view(-1, d, self.chunk, self.order)
            m = m.transpose(1, 2).to(torch.bfloat16 if bf16 else m.dtype, memory_format=torch.contiguous_format)
        q, k, v = F.gelu(self.qkv(m.reshape(-1, d, self.order))).split(self.reduced, -1)
        weights = torch.softmax(torch.bmm(q.transpose(1, 2), k).float() / math.sqrt(d), -1)
        weights = (self.pool[:, None] * weights).sum(1).to(v.dtype)
        return torch.bmm(v, weights.unsqueeze(-1)).squeeze(-1)

    def decode(self, x, state):
        """One token, x [B,D]."""
        with torch.autocast("cpu", enabled=False):
            state.copy_(left(self.step, torch.cat([state, x.float()[:, None]], 1)))
        return self.out(self.attend(state))


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim = config["dim"]
        self.heads = config["heads"] or next(h for h in range(max(1, dim // 64), 0, -1) if dim % h == 0)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(b, t, d))

    def decode(self, x, keys, values, position):
        """One token, x [B,D]; keys and values [B,H,context,D/H]."""
        q, k, v = self.qkv(x).view(len(x), 3, self.heads, 1, -1).unbind(1)
        keys[:, :, position : position + 1], values[:, :, position : position + 1] = k, v
        y = F.scaled_dot_product_attention(q, keys[:, :, : position + 1].to(q.dtype), values[:, :, : position + 1].to(q.dtype))
        return self.out(y.reshape(x.shape))


class FeedForward(nn.Module):
    KINDS = {"gelu": F.gelu, "relu": F.relu, "relu2": lambda x: F.relu(x).square(), "swiglu": F.silu}

    def __init__(self, config):
        super().__init__()
        dim, width, gated = config["dim"], int(config["feed_width"] * config["dim"] + 0.5), config["feed_forward"] == "swiglu"
        self.activation = self.KINDS[config["feed_forward"]]
        self.up, self.down = nn.Linear(dim, width, bias=not gated), nn.Linear(width, dim, bias=not gated)
        self.gate = nn.Linear(dim, width, bias=False) if gated else None

    def forward(self, x):
        h = self.activation(self.gate(x)) * self.up(x) if self.gate else self.activation(self.up(x))
        return self.down(h)


def norm(config):
    return nn.LayerNorm(config["dim"], eps=1e-5) if config["norm"] == "layer" else nn.RMSNorm(config["dim"], eps=1e-5)


class Block(nn.Module):
    def __init__(self, config, layer, chunk, layout):
        super().__init__()
        self.mix = Attention(config) if config["arch"] == "transformer" else Memory(config, layer, chunk, layout)
        self.mix_norm, self.ffn, self.ffn_norm = norm(config), FeedForward(config), norm(config)

    def forward(self, x):
        x = x + self.mix(self.mix_norm(x))
        return x + self.ffn(self.ffn_norm(x))

    def decode(self, x, *state):
        x = x + self.mix.decode(self.mix_norm(x), *state)
        return x + self.ffn(self.ffn_norm(x))


class Model(nn.Module):
    def __init__(self, config, chunk=16, layout="columns"):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config["vocabulary"], config["dim"])
        transformer = config["arch"] == "transformer"
        self.position = nn.Parameter(torch.empty(config["context"], config["dim"])) if transformer else None
        self.layer = nn.ModuleList([Block(config, i, chunk, layout) for i in range(config["layers"])])
        self.norm = norm(config)

    def forward(self, ids):
        """ids [B,T] -> logits [B,T,V]"""
        x = self.embedding(ids)
        if self.position is not None:
            x = x + self.position[: ids.shape[1]]
        for block in self.layer:
            x = block(x)
        return F.linear(self.norm(x), self.embedding.weight)

    def state(self, batch, dtype=torch.float32):
        """What `decode` carries, a list for each layer; keys and values may be bf16."""
        c = self.config
        if self.position is None:
            return [[torch.zeros(batch, c["order"], c["dim"])] for _ in self.layer]
        heads = self.layer[0].mix.heads
        cache = lambda: torch.zeros(batch, heads, c["context"], c["dim"] // heads, dtype=dtype)
        return [[cache(), cache()] for _ in self.layer]

    def decode(self, ids, state, position):
        """ids [B] at one position -> logits [B,V]; the state goes on in place."""
        x = self.embedding(ids)
        if self.position is not None:
            x = x + self.position[position]
        for block, carried in zip(self.layer, state):
            x = block.decode(x, *carried, *([] if self.position is None else [position]))
        return F.linear(self.norm(x), self.embedding.weight)

    def our_name(self, name):
        """The name of a parameter in model.safetensors."""
        part = "memory" if self.position is None else "attention"
        name = name.replace(".mix_norm.", f".{part}.norm.").replace(".mix.", f".{part}.").replace(".ffn_norm.", ".ffn.norm.")
        return "position.weight" if name == "position" else name


def load_config(directory, **changes):
    return {**json.loads((pathlib.Path(directory) / "config.json").read_text()), **changes}


def load(directory, chunk=16, layout="columns", layers=None):
    """A checkpoint's model; `layers` keeps its first ones alone."""
    config = load_config(directory)
    if layers:
        config = {**config, "layers": layers}
    model, stored = Model(config, chunk, layout), load_file(pathlib.Path(directory) / "model.safetensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(stored[model.our_name(name)].view(parameter.shape))
    return model
