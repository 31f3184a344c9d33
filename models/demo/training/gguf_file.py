"""Writes and reads GGUF version 3, as much of it as our own files use. The same values, the same bytes."""
import struct
from pathlib import Path

import numpy as np

TYPE = {"f32": 0, "f16": 1, "q8_0": 8}
ALIGNMENT = 32
BLOCK = 32


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
    blocks = values.astype(np.float32).reshape(-1, BLOCK)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / 127
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    whole = np.rint(blocks * inverse).astype(np.int8)
    return np.concatenate([scale.astype("<f2").view(np.int8), whole], axis=1).tobytes()


def decode(data: bytes, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    if kind == "q8_0":
        blocks = np.frombuffer(data, np.int8).reshape(-1, BLOCK + 2)
        scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
        return (blocks[:, 2:].astype(np.float32) * scale).reshape(shape)
    return np.frombuffer(data, "<f4" if kind == "f32" else "<f2").astype(np.float32).reshape(shape)


def write(path: Path, entries: dict, tensors: dict[str, np.ndarray], kind: str) -> None:
    """Matrices in `kind`, vectors in f32."""
    head, body = b"", b""
    for name, values in tensors.items():
        tensor_kind = "f32" if values.ndim == 1 else kind
        head += text(name) + struct.pack(f"<I{values.ndim}QIQ", values.ndim, *reversed(values.shape), TYPE[tensor_kind], len(body))
        data = encode(values, tensor_kind)
        body += data + bytes(-len(data) % ALIGNMENT)
    start = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries)) + b"".join(text(k) + entry(v) for k, v in entries.items()) + head
    path.write_bytes(start + bytes(-len(start) % ALIGNMENT) + body)


def read(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    data, at = path.read_bytes(), 0

    def take(form: str):
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values[0] if len(values) == 1 else values

    def string() -> str:
        nonlocal at
        length = take("Q")
        at += length
        return data[at - length : at].decode()

    def value(kind: int):
        if kind == 9:
            item, count = take("IQ")
            return [value(item) for _ in range(count)]
        return string() if kind == 8 else take({4: "I", 5: "i", 6: "f", 7: "B"}[kind])

    magic, version, tensors, entries = take("4sIQQ")
    assert magic == b"GGUF" and version == 3
    metadata = {string(): value(take("I")) for _ in range(entries)}
    kinds = {number: kind for kind, number in TYPE.items()}
    listed = []
    for _ in range(tensors):
        name, rank = string(), take("I")
        sizes = [take("Q") for _ in range(rank)]
        listed.append((name, tuple(reversed(sizes)), kinds[take("I")], take("Q")))
    start = at + -at % ALIGNMENT
    read_tensors = {}
    for name, shape, kind, offset in listed:
        count = int(np.prod(shape))
        size = count // BLOCK * (BLOCK + 2) if kind == "q8_0" else count * (4 if kind == "f32" else 2)
        read_tensors[name] = decode(data[start + offset : start + offset + size], kind, shape)
    return metadata, read_tensors
