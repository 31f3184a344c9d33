"""Draws the loss curves: `python plot.py MODEL DRAFT OUT.svg`, two folders with loss.jsonl. Linear in tokens, logarithmic in loss."""
import json
import math
import sys
from pathlib import Path

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 360, 56, 40, 48


CURVES = (("the model", "#1f5fa8"), ("the draft", "#a8551f"))


def entries_of(folder: Path) -> list[dict]:
    """A step that was run twice, after a stop, counts as it was run last."""
    latest = {}
    for line in (folder / "loss.jsonl").read_text().splitlines():
        entry = json.loads(line)
        latest[entry["step"]] = entry
    return [latest[step] for step in sorted(latest)]


def main(folders: list[Path], out: Path) -> None:
    curves = [entries_of(folder) for folder in folders]
    every = [entry for curve in curves for entry in curve]
    most = max(entry["tokens"] for entry in every) / 1e6
    low = math.log(min(entry["mean"] for entry in every) * 0.9)
    high = math.log(max(entry["mean"] for entry in every))
    x = lambda tokens: LEFT + (WIDTH - LEFT - 20) * tokens / 1e6 / most
    y = lambda loss: TOP + (HEIGHT - TOP - BOTTOM) * (high - math.log(loss)) / (high - low)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12"><title>Training loss</title>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="22" font-size="14" fill="#222">Training loss on answers (nats a token)</text>',
    ]
    for value in (0.1, 0.2, 0.3, 0.5, 0.7, 1, 2, 3, 5, 8):
        if low <= math.log(value) <= high:
            parts.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - 20}" stroke="#ddd"/><text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end" fill="#555">{value}</text>')
    step = max(1, round(most / 8))
    for value in range(0, int(most) + 1, step):
        parts.append(f'<text x="{x(value * 1e6):.1f}" y="{HEIGHT - 26}" text-anchor="middle" fill="#555">{value}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 8}" text-anchor="middle" fill="#222">million tokens seen</text>')
    for row, (entries, (name, colour)) in enumerate(zip(curves, CURVES)):
        points = "L".join(f'{x(e["tokens"]):.1f} {y(e["mean"]):.1f}' for e in entries)
        parts.append(f'<path d="M{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        last = entries[-1]
        label = f'{name}: {last["step"]:,} steps, {last["tokens"] / 1e6:.1f} million tokens'
        parts.append(f'<text x="{WIDTH - 24}" y="{TOP + 14 + 18 * row}" text-anchor="end" fill="{colour}">{label}</text>')
    parts.append("</svg>")
    out.write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:-1]], Path(sys.argv[-1]))
