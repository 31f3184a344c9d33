"""Trains the LoRA adapter "formal letters" on a model file: `python adapter.py DEMO.gguf OUT.gguf [STEPS]`.

The weights are read from the model file as they stand there (q8_0) and stay as they are; two thin matrices beside every
matrix of the layers learn. Four fifths of the examples are letters, one fifth is of the base model's own exercises, so
that everything else is answered as before. Seeds are fixed and no time is looked at: on the same machine the same bytes.
"""
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import corpus
import gguf_file
import letters
from network import Llama, Shape
from source import Source
from tokenizer import Vocabulary

RANK, ALPHA, BATCH, RATE = 16, 32.0, 16, 6e-3
TARGETS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


class Adapted(nn.Module):
    def __init__(self, base: nn.Linear):
        super().__init__()
        self.weight = base.weight.requires_grad_(False)
        self.lora_a = nn.Parameter(torch.randn(RANK, base.in_features) / base.in_features**0.5)
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, RANK))

    def forward(self, x):
        return F.linear(x, self.weight) + (ALPHA / RANK) * F.linear(F.linear(x, self.lora_a), self.lora_b)


def model_from(path: Path) -> Llama:
    entries, tensors = gguf_file.read(path)
    figure = lambda name: entries["llama." + name]
    shape = Shape(
        vocabulary=figure("vocab_size"), context=figure("context_length"), width=figure("embedding_length"), layers=figure("block_count"),
        heads=figure("attention.head_count"), kv_heads=figure("attention.head_count_kv"), feed_forward=figure("feed_forward_length"),
    )
    model = Llama(shape)
    model.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in tensors.items()})
    return model


def batch(source: Source, vocabulary: Vocabulary):
    rows = []
    for _ in range(BATCH):
        language = source.one(["en", "zh"])
        example = letters.letter(source, language) if source.chance(0.8) else corpus.example(source)
        prompt, answer = vocabulary.prompt(example.question), [*vocabulary.encode(example.answer), vocabulary.stop]
        rows.append((prompt, answer))
    width = -(-max(len(prompt) + len(answer) for prompt, answer in rows) // 16) * 16
    x, y = torch.zeros(len(rows), width, dtype=torch.long), torch.full((len(rows), width), -100)
    for i, (prompt, answer) in enumerate(rows):
        x[i, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        y[i, len(prompt) - 1 : len(prompt) + len(answer) - 1] = torch.tensor(answer)
    return x, y


def main(base: Path, out: Path, steps: int = 300) -> None:
    torch.manual_seed(5)
    torch.set_num_threads(1)
    model, vocabulary, source = model_from(base).requires_grad_(False), Vocabulary(base), Source(6, "train")
    for block in model.blk:
        for name in TARGETS:
            setattr(block, name, Adapted(getattr(block, name)))
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    adam = torch.optim.AdamW(learning.values(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.01)
    for step in range(steps):
        for group in adam.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / steps))
        x, y = batch(source, vocabulary)
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model.hidden(x).flatten(0, 1)
            places = (y.flatten() >= 0).nonzero().squeeze(1)
            logits = F.linear(hidden[places], model.token_embd.weight)
        loss = F.cross_entropy(logits.float(), y.flatten()[places])
        adam.zero_grad()
        loss.backward()
        adam.step()
        if step % 20 == 0 or step == steps - 1:
            print(f"step {step} loss {loss.item():.4f}", flush=True)
    shape = model.shape
    entries = {
        "general.type": "adapter",
        "general.architecture": "llama",
        "general.name": "strongroom-formal-letters",
        "general.description": "LoRA adapter for Strongroom's built-in demonstration model: letters in a formal register, English and Chinese.",
        "general.alignment": gguf_file.ALIGNMENT,
        "adapter.type": "lora",
        "adapter.lora.alpha": ALPHA,
        # The base that it fits; readers that ask for a model's figures find them.
        "llama.context_length": shape.context,
        "llama.embedding_length": shape.width,
        "llama.block_count": shape.layers,
        "llama.feed_forward_length": shape.feed_forward,
        "llama.attention.head_count": shape.heads,
        "llama.attention.head_count_kv": shape.kv_heads,
    }
    tensors = {}
    for name, p in learning.items():
        matrix, half = name.rsplit(".", 1)
        tensors[f"{matrix}.weight.{half}"] = p.detach().numpy()
    gguf_file.write(out, entries, tensors, "f16")
    print(f"{out}: {out.stat().st_size} bytes, {sum(p.numel() for p in learning.values())} parameters")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
