"""Makes all three files from nothing: `python make.py RUN [OUT]`. Stopped and called again, it goes on where it was.

RUN holds what arises on the way (tokenizer, corpus, checkpoints, loss curves), OUT the model files (RUN by default).
`node` has to be on the path. About two hours on two quiet cores, nearly all of it the first training.
"""
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CONVERSATIONS, SEED = "150000", "12"
STEPS, FALLING = 3000, 3000
DRAFT = ["--layers", "3", "--width", "96", "--feed-forward", "224", "--heads", "3", "--kv-heads", "1", "--batch", "8192"]
DRAFT_STEPS, DRAFT_FALLING = 1600, 700
ADAPTER_STEPS = 300


def run(*command: object) -> None:
    print("+", *command, flush=True)
    subprocess.run([str(part) for part in command], cwd=HERE, check=True)


def python(script: str, *arguments: object) -> None:
    run(sys.executable, script, *arguments)


def main(folder: Path, out: Path) -> None:
    small = folder / "draft"
    small.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    if not (folder / "tokenizer.json").exists():
        python("tokenizer.py", folder / "tokenizer.json", 3072)
    if not (folder / "corpus.npz").exists():
        python("prepare.py", folder, CONVERSATIONS, SEED)
    for name in ("tokenizer.json", "corpus.npz"):
        if not (small / name).exists():
            (small / name).symlink_to(folder / name)
    python("train.py", folder, "--batch", 4096, "--decay-from", STEPS, "--decay-steps", FALLING)
    python("export.py", folder, out / "demo.gguf")
    python("train.py", small, *DRAFT, "--decay-from", DRAFT_STEPS, "--decay-steps", DRAFT_FALLING)
    python("export.py", small, out / "draft.gguf", "q8_0", "average", "strongroom-draft")
    python("adapter.py", out / "demo.gguf", out / "formal-letters.gguf", ADAPTER_STEPS)
    run("node", "measure.ts", "--files", out, "--corpus", folder, "--python", sys.executable, "--scores", out / "scores.json")
    python("plot.py", folder, small, out / "loss.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[-1]).resolve())
