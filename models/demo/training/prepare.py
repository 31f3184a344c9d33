"""Writes the training corpus as token numbers: `python prepare.py FOLDER CONVERSATIONS [SEED]`. The same arguments, the same bytes."""
import sys
from pathlib import Path

import numpy as np

from corpus import conversation
from source import Source
from tokenizer import Vocabulary

LIMIT = 1000


def main(folder: Path, count: int, seed: int = 2) -> None:
    vocabulary = Vocabulary(folder / "tokenizer.json")
    source = Source(seed, "train")
    tokens, answers, starts = bytearray(), bytearray(), [0]
    length = 0
    for first in range(0, count, 20000):
        drawn = [conversation(source) for _ in range(min(20000, count - first))]
        texts = [text for system, turns in drawn for text in ([system] if system else []) + [t for turn in turns for t in turn]]
        encoded = iter([e.ids for e in vocabulary.bpe.encode_batch(texts)])
        for system, turns in drawn:
            ids = vocabulary.turn("system", next(encoded)) if system else []
            mask = [0] * len(ids)
            for _ in turns:
                asked = [*vocabulary.turn("user", next(encoded)), *vocabulary.roles["assistant"]]
                answer = [*next(encoded), vocabulary.stop]
                if len(ids) + len(asked) + len(answer) < LIMIT:
                    ids += asked + answer + vocabulary.newline
                    mask += [0] * len(asked) + [1] * len(answer) + [0] * len(vocabulary.newline)
            length += len(ids)
            tokens += np.asarray(ids, np.uint16).tobytes()
            answers += np.asarray(mask, np.uint8).tobytes()
            starts.append(length)
    np.savez(folder / "corpus.npz", tokens=np.frombuffer(tokens, np.uint16), answers=np.frombuffer(answers, np.uint8), starts=np.asarray(starts, np.int64))
    print(f"{count} conversations, {length} tokens, {sum(answers)} of them answers, longest {max(np.diff(starts))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
