"""Writes a checkpoint as GGUF: `python export.py FOLDER OUT.gguf [q8_0|f16] [average|model] [NAME]`. The same checkpoint, the same bytes."""
import sys
from pathlib import Path

import torch

import gguf_file
from network import Shape
from tokenizer import CONTROL, Vocabulary

FILE_TYPE = {"f16": 1, "q8_0": 7}
TEMPLATE = Path(__file__).parent.parent / "chat-template.jinja"


def metadata(shape: Shape, vocabulary: Vocabulary, kind: str, name: str) -> dict:
    control = {vocabulary.end, vocabulary.start, vocabulary.stop, vocabulary.pad}
    return {
        "general.architecture": "llama",
        "general.name": name,
        "general.description": "Strongroom's built-in demonstration model, trained from scratch on generated text. Not an adviser.",
        "general.file_type": FILE_TYPE[kind],
        "general.quantization_version": 2,
        "general.alignment": gguf_file.ALIGNMENT,
        "llama.context_length": shape.context,
        "llama.embedding_length": shape.width,
        "llama.block_count": shape.layers,
        "llama.feed_forward_length": shape.feed_forward,
        "llama.attention.head_count": shape.heads,
        "llama.attention.head_count_kv": shape.kv_heads,
        "llama.attention.layer_norm_rms_epsilon": float(shape.epsilon),
        "llama.rope.dimension_count": shape.head_width,
        "llama.rope.freq_base": float(shape.rope_base),
        "llama.vocab_size": shape.vocabulary,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": vocabulary.tokens,
        # 1 is a normal token, 3 a control token, which user text can never become.
        "tokenizer.ggml.token_type": [3 if i in control else 1 for i in range(len(vocabulary.tokens))],
        "tokenizer.ggml.merges": [" ".join(pair) for pair in vocabulary.merges],
        "tokenizer.ggml.bos_token_id": vocabulary.end,
        "tokenizer.ggml.eos_token_id": vocabulary.stop,
        "tokenizer.ggml.eot_token_id": vocabulary.stop,
        "tokenizer.ggml.padding_token_id": vocabulary.pad,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.chat_template": TEMPLATE.read_text(),
    }


def main(folder: Path, out: Path, kind: str = "q8_0", weights: str = "average", name: str = "strongroom-demo") -> None:
    stored = torch.load(folder / "checkpoint.pt", weights_only=False)
    shape, vocabulary = Shape(**stored["shape"]), Vocabulary(folder / "tokenizer.json")
    assert vocabulary.tokens[-len(CONTROL) :] == CONTROL and len(vocabulary.tokens) == shape.vocabulary
    tensors = {tensor: value.float().numpy() for tensor, value in stored[weights].items()}
    gguf_file.write(out, metadata(shape, vocabulary, kind, name), tensors, kind)
    print(f"{out}: {out.stat().st_size} bytes, step {stored['step']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
