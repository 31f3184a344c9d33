"""A byte-level BPE tokenizer of our own.

The splitting rule is GPT-2's (llama.cpp: tokenizer.ggml.pre = gpt-2). Merges are learned from text whose digits stand
alone, so no merge holds a digit and every digit is one token, although the rule itself keeps numbers together.
"""
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

import gguf_file

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]


def byte_alphabet() -> list[str]:
    """GPT-2's printable stand-in for each byte, as in byte-pair.ts."""
    alphabet, moved = [], 256
    for byte in range(256):
        if 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174:
            alphabet.append(chr(byte))
        else:
            alphabet.append(chr(moved))
            moved += 1
    return alphabet


def learn(texts, size: int, path: Path) -> None:
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    learner.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size - len(CONTROL), initial_alphabet=byte_alphabet(), max_token_length=16, min_frequency=4, show_progress=False))
    merges = json.loads(learner.to_str())["model"]["merges"]
    tokens = byte_alphabet() + ["".join(pair) for pair in merges]
    path.write_text(json.dumps({"tokens": tokens + CONTROL, "merges": [list(pair) for pair in merges]}, ensure_ascii=False))


class Vocabulary:
    def __init__(self, path: Path):
        """From what `learn` wrote, or out of a model file of ours."""
        if path.suffix == ".gguf":
            entries, _ = gguf_file.read(path)
            self.tokens, self.merges = entries["tokenizer.ggml.tokens"], [tuple(pair.split(" ")) for pair in entries["tokenizer.ggml.merges"]]
        else:
            stored = json.loads(path.read_text())
            self.tokens, self.merges = stored["tokens"], [tuple(pair) for pair in stored["merges"]]
        ids = {token: i for i, token in enumerate(self.tokens)}
        self.end, self.start, self.stop, self.pad = (ids[name] for name in CONTROL)
        plain = {token: i for token, i in ids.items() if token not in CONTROL}
        self.bpe = Tokenizer(models.BPE(vocab=plain, merges=self.merges))
        self.bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.bytes = {name: byte for byte, name in enumerate(byte_alphabet())}
        self.roles = {role: [self.start, *self.encode(role + "\n")] for role in ("system", "user", "assistant")}
        self.newline = self.encode("\n")

    def encode(self, text: str) -> list[int]:
        return self.bpe.encode(text).ids

    def decode(self, ids) -> str:
        control = range(len(self.tokens) - len(CONTROL), len(self.tokens))
        return bytes(self.bytes[c] for i in ids if i not in control for c in self.tokens[i]).decode("utf8", "replace")

    def turn(self, role: str, ids: list[int]) -> list[int]:
        """As chat-template.jinja writes it."""
        return [*self.roles[role], *ids, self.stop, *self.newline]

    def prompt(self, question: str) -> list[int]:
        return [*self.turn("user", self.encode(question)), *self.roles["assistant"]]


if __name__ == "__main__":
    from corpus import example
    from source import Source

    source = Source(1, "train")
    drawn = [example(source) for _ in range(40000)]
    learn((text for e in drawn for text in (e.question, e.answer)), int(sys.argv[2]), Path(sys.argv[1]))
