"""Greedy answers straight from PyTorch, to compare with llama.cpp: `python sample.py FOLDER < QUESTIONS` (one JSON string a line)."""
import json
import sys
from pathlib import Path

import torch

from network import Llama, Shape
from tokenizer import Vocabulary

folder = Path(sys.argv[1])
WEIGHTS = sys.argv[2] if len(sys.argv) > 2 else "average"
stored = torch.load(folder / "checkpoint.pt", weights_only=False)
model = Llama(Shape(**stored["shape"]))
model.load_state_dict(stored[WEIGHTS])
vocabulary = Vocabulary(folder / "tokenizer.json")
with torch.no_grad():
    for line in sys.stdin:
        question = json.loads(line)
        ids = vocabulary.prompt(question)
        prompt = list(ids)
        while ids[-1] != vocabulary.stop and len(ids) - len(prompt) < 160:
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
        answer = ids[len(prompt) :]
        print(json.dumps({"question": question, "prompt": prompt, "tokens": answer, "answer": vocabulary.decode(answer)}, ensure_ascii=False))
