"""Writes a checkpoint as GGUF version 3: `python export.py FOLDER OUT.gguf [q8_0|f16]`. The same checkpoint, the same bytes."""
import struct
import sys
from pathlib import Path

import numpy as np
import torch

from network import Shape
from tokenizer import CONTROL, Vocabulary

TYPE = {"f32": 0, "f16": 1, "q8_0": 8}
FILE_TYPE = {"f16": 1, "q8_0": 7}
ALIGNMENT = 32
TEMPLATE = Path(__file__).parent.parent / "chat-template.jinja"


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(value) -> bytes:
    match value:
        case bool():
            return struct.pack("<IB", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + text(value)
        case [str(), *_]:
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
        case [int(), *_]:
            return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)
    raise TypeError(value)


def encode(values: np.ndarray, kind: str) -> bytes:
    if kind == "f32":
        return values.astype("<f4").tobytes()
    if kind == "f16":
        return values.astype("<f2").tobytes()
    # Blocks of 32: one scale in 16 bits, 32 whole numbers of 8 bits.
    blocks = values.astype(np.float32).reshape(-1, 32)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / 127
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    whole = np.rint(blocks * inverse).astype(np.int8)
    return np.concatenate([scale.astype("<f2").view(np.int8), whole], axis=1).tobytes()


def metadata(shape: Shape, vocabulary: Vocabulary, kind: str) -> dict:
    control = {vocabulary.end, vocabulary.start, vocabulary.stop, vocabulary.pad}
    return {
        "general.architecture": "llama",
        "general.name": "strongroom-demo",
        "general.description": "Strongroom's built-in demonstration model, trained from scratch on generated text. Not an adviser.",
        "general.file_type": FILE_TYPE[kind],
        "general.quantization_version": 2,
        "general.alignment": ALIGNMENT,
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


def main(folder: Path, out: Path, kind: str = "q8_0", weights: str = "average") -> None:
    stored = torch.load(folder / "checkpoint.pt", weights_only=False)
    shape, vocabulary = Shape(**stored["shape"]), Vocabulary(folder / "tokenizer.json")
    assert vocabulary.tokens[-len(CONTROL) :] == CONTROL and len(vocabulary.tokens) == shape.vocabulary
    head, body, offset = b"", b"", 0
    tensors = {name: value.float().numpy() for name, value in stored[weights].items()}
    for name, values in tensors.items():
        tensor_kind = "f32" if values.ndim == 1 else kind
        data = encode(values, tensor_kind)
        head += text(name) + struct.pack(f"<I{values.ndim}QIQ", values.ndim, *reversed(values.shape), TYPE[tensor_kind], offset)
        data += bytes(-len(data) % ALIGNMENT)
        body += data
        offset += len(data)
    entries = metadata(shape, vocabulary, kind)
    start = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries)) + b"".join(text(k) + entry(v) for k, v in entries.items()) + head
    out.write_bytes(start + bytes(-len(start) % ALIGNMENT) + body)
    print(f"{out}: {out.stat().st_size} bytes, step {stored['step']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
