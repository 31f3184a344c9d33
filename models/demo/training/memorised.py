"""How much of the answers is repeated from training: `python memorised.py FOLDER ANSWERS.jsonl RUN` prints JSON.

An answer counts when a run of more than RUN of its tokens stands in the training text, word for word.
"""
import json
import sys
from pathlib import Path

import numpy as np

from tokenizer import Vocabulary


def fingerprints(tokens: np.ndarray, run: int) -> np.ndarray:
    """One number for every window of `run` tokens."""
    if len(tokens) < run:
        return np.zeros(0, np.uint64)
    out = np.zeros(len(tokens) - run + 1, np.uint64)
    with np.errstate(over="ignore"):
        for i in range(run):
            out = out * np.uint64(0x9E3779B97F4A7C15) + tokens[i : i + len(out)].astype(np.uint64) + np.uint64(1)
            out ^= out >> np.uint64(29)
    return out


def main(folder: Path, answers: Path, run: int) -> None:
    vocabulary = Vocabulary(folder / "tokenizer.json")
    stored = np.load(folder / "corpus.npz")
    told = [json.loads(line) for line in answers.read_text("utf8").splitlines()]
    windows = [fingerprints(np.asarray(vocabulary.encode(a["answer"]), np.uint16), run + 1) for a in told]
    wanted = np.unique(np.concatenate(windows))
    found = np.zeros(0, np.uint64)
    tokens = stored["tokens"]
    for first in range(0, len(tokens), 4_000_000):
        found = np.union1d(found, np.intersect1d(wanted, fingerprints(tokens[first : first + 4_000_000 + run], run + 1)))
    memorised = sum(bool(np.isin(w, found).any()) for w in windows)
    print(json.dumps({"answers": len(told), "memorised": memorised, "longEnough": sum(len(w) > 0 for w in windows)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
