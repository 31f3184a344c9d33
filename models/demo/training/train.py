"""Trains the network on the prepared corpus, on CPU. Resumes from FOLDER/checkpoint.pt.

Matrices inside the layers learn by momentum with orthogonalised steps (Muon), embeddings and norms by AdamW.
The rate stays constant until --decay-from and then falls to zero as a cosine over --decay-steps: so a run whose
speed is not known in advance can be brought to a good end at any time. Loss on the answers only. A running average
of the weights is kept beside them, since it is better than any single moment while the rate is high.
"""
import argparse
import json
import math
import os
import signal
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from network import Llama, Shape

WARMUP = 100


def batches(folder: Path, budget: int, longest: int, seed: int):
    """Conversations of like length together, so that little is padding; every batch holds at most `budget` places."""
    stored = np.load(folder / "corpus.npz")
    tokens, answers, starts = stored["tokens"], stored["answers"], stored["starts"]
    lengths = np.diff(starts)
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(np.flatnonzero(lengths <= longest))
        for first in range(0, len(order), 8192):
            window = order[first : first + 8192]
            window = window[np.argsort(lengths[window], kind="stable")]
            cuts, count = [0], 0
            for i, index in enumerate(window):
                if (i - cuts[-1] + 1) * (-(-int(lengths[index]) // 16) * 16) > budget:
                    cuts.append(i)
            for cut in random.permutation(len(cuts) - 1):
                rows = window[cuts[cut] : cuts[cut + 1]]
                # Few different shapes: the library prepares code for each.
                width = -(-int(lengths[rows].max()) // 16) * 16
                x, y = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), bool)
                for r, index in enumerate(rows):
                    n = lengths[index]
                    x[r, :n], y[r, :n] = tokens[starts[index] : starts[index] + n], answers[starts[index] : starts[index] + n]
                yield torch.from_numpy(x), torch.from_numpy(y)


class Muon(torch.optim.Optimizer):
    """Momentum whose step is brought near an orthogonal matrix by five Newton-Schulz iterations."""

    def __init__(self, params, lr: float, momentum: float = 0.95, weight_decay: float = 0.01):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - group["momentum"])
                x = p.grad.lerp(buffer, group["momentum"])
                tall = x.shape[0] > x.shape[1]
                x = ((x.T if tall else x) / (x.norm() + 1e-7)).bfloat16()
                for _ in range(5):
                    a = x @ x.T
                    x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_((x.T if tall else x).float(), alpha=-group["lr"] * max(1, p.shape[0] / p.shape[1]) ** 0.5)


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("folder", type=Path)
    ask.add_argument("--layers", type=int, default=5)
    ask.add_argument("--width", type=int, default=256)
    ask.add_argument("--feed-forward", type=int, default=704)
    ask.add_argument("--heads", type=int, default=4)
    ask.add_argument("--kv-heads", type=int, default=2)
    ask.add_argument("--batch", type=int, default=6144)
    ask.add_argument("--longest", type=int, default=1024, help="leave out longer conversations, as at the beginning")
    ask.add_argument("--rate", type=float, default=0.02)
    ask.add_argument("--decay-from", type=int, default=10**9)
    ask.add_argument("--decay-steps", type=int, default=1)
    ask.add_argument("--threads", type=int, default=2)
    ask.add_argument("--keep-every", type=int, default=180, help="seconds between checkpoints")
    options = ask.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)

    vocabulary = len(json.loads((options.folder / "tokenizer.json").read_text())["tokens"])
    shape = Shape(vocabulary=vocabulary, layers=options.layers, width=options.width, heads=options.heads, kv_heads=options.kv_heads, feed_forward=options.feed_forward)
    model = Llama(shape)
    matrices = [p for p in model.blk.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if not any(p is m for m in matrices)]
    muon = Muon(matrices, lr=options.rate)
    adam = torch.optim.AdamW(others, lr=options.rate / 5, betas=(0.9, 0.95), weight_decay=0.0)
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)

    path, step, seen, spent = options.folder / "checkpoint.pt", 0, 0, 0.0
    if path.exists():
        stored = torch.load(path, weights_only=False)
        model.load_state_dict(stored["model"])
        muon.load_state_dict(stored["muon"])
        adam.load_state_dict(stored["adam"])
        step, seen, spent = stored["step"], stored["seen"], stored["spent"]
    average = stored.get("average") if path.exists() else None
    average = {name: value.clone() for name, value in model.state_dict().items()} if average is None else average
    # A new corpus is read from its beginning, the same one from where the last run stopped.
    corpus = int(np.load(options.folder / "corpus.npz")["starts"][-1])
    at = stored.get("at", 0) if path.exists() and stored.get("corpus") == corpus else 0
    data = batches(options.folder, options.batch, options.longest, seed=3)
    for _ in range(at):
        next(data)

    def keep():
        stored = {"model": model.state_dict(), "average": average, "muon": muon.state_dict(), "adam": adam.state_dict(), "step": step, "corpus": corpus, "at": at, "seen": seen, "spent": spent, "shape": shape.__dict__}
        torch.save(stored, path.with_suffix(".new"))
        os.replace(path.with_suffix(".new"), path)

    kept, mean = time.time(), None
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    end = options.decay_from + options.decay_steps
    while step < end and not stopping:
        began = time.time()
        x, y = next(data)
        progress = max(0.0, (step - options.decay_from) / options.decay_steps)
        factor = min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        for optimiser, rate in ((muon, options.rate), (adam, options.rate / 5)):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model.hidden(x).flatten(0, 1)
            places = y.roll(-1, 1).flatten().nonzero().squeeze(1)
            padding = -len(places) % 256
            logits = F.linear(hidden[F.pad(places, (0, padding))], model.token_embd.weight)
        wanted = F.pad(x.roll(-1, 1).flatten()[places], (0, padding), value=-100)
        loss = F.cross_entropy(logits.float(), wanted)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        muon.step()
        adam.step()
        with torch.no_grad():
            for name, value in model.state_dict().items():
                average[name].lerp_(value, 0.01 if step > 500 else 0.1)
        step, at, seen, spent = step + 1, at + 1, seen + x.numel(), spent + time.time() - began
        mean = loss.item() if mean is None else 0.95 * mean + 0.05 * loss.item()
        if step % 20 == 0:
            line = {"step": step, "tokens": seen, "loss": round(loss.item(), 4), "mean": round(mean, 4), "factor": round(factor, 4), "seconds": round(spent)}
            with (options.folder / "loss.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
        if time.time() - kept > options.keep_every:
            keep()
            kept = time.time()
    keep()


if __name__ == "__main__":
    main()
