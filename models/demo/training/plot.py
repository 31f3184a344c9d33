"""Draws the loss curve: `python plot.py FOLDER OUT.svg`. Linear in tokens, logarithmic in loss."""
import json
import math
import sys
from pathlib import Path

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 360, 56, 40, 48


def main(folder: Path, out: Path) -> None:
    latest = {}
    for line in (folder / "loss.jsonl").read_text().splitlines():
        entry = json.loads(line)
        latest[entry["step"]] = entry
    entries = [latest[step] for step in sorted(latest)]
    most = entries[-1]["tokens"] / 1e6
    low = math.log(min(e["mean"] for e in entries) * 0.9)
    high = math.log(max(e["mean"] for e in entries))
    x = lambda tokens: LEFT + (WIDTH - LEFT - 20) * tokens / 1e6 / most
    y = lambda loss: TOP + (HEIGHT - TOP - BOTTOM) * (high - math.log(loss)) / (high - low)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12"><title>Training loss</title>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="22" font-size="14" fill="#222">Training loss on answers (nats a token), {entries[-1]["step"]} steps, {most:.1f} million tokens</text>',
    ]
    for value in (0.2, 0.3, 0.5, 0.7, 1, 2, 3, 5, 8):
        if low <= math.log(value) <= high:
            parts.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - 20}" stroke="#ddd"/><text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end" fill="#555">{value}</text>')
    step = max(1, round(most / 8))
    for value in range(0, int(most) + 1, step):
        parts.append(f'<text x="{x(value * 1e6):.1f}" y="{HEIGHT - 26}" text-anchor="middle" fill="#555">{value}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 8}" text-anchor="middle" fill="#222">million tokens seen</text>')
    falling = next((e for e in entries if e["factor"] < 1 and e["step"] > 200), None)
    if falling is not None:
        at = x(falling["tokens"])
        parts.append(f'<path d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#b58900" stroke-dasharray="4 4"/><text x="{at + 4:.1f}" y="{TOP + 12}" fill="#8a6a00">rate falls</text>')
    points = "L".join(f'{x(e["tokens"]):.1f} {y(e["mean"]):.1f}' for e in entries)
    parts.append(f'<path d="M{points}" fill="none" stroke="#1f5fa8" stroke-width="2"/></svg>')
    out.write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
