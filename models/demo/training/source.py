"""What every writer of examples shares: seeded choice, the split into training and test, and alternatives in braces."""
import random
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

TEXT = Path(__file__).parent / "text"
_ALTERNATIVES = re.compile(r"\{([^{}]*/[^{}]*)\}")


@dataclass
class Example:
    """One question and its answer. `keys`: groups of words; an answer on the subject has one word of every group.
    `parts`: what a definition that is right word for word holds."""

    kind: str
    language: str
    question: str
    answer: str
    keys: list[list[str]] = field(default_factory=list)
    schema: dict | None = None
    parts: list[str] = field(default_factory=list)


def held_out(*values) -> bool:
    """One combination of values in eight belongs to the test set alone."""
    return zlib.crc32("|".join(map(str, values)).encode()) % 8 == 0


class Source:
    def __init__(self, seed: int, split: str):
        self.random = random.Random(f"{split}-{seed}")
        self.test = split == "test"

    def one(self, items):
        return items[int(self.random.random() * len(items))]

    def chance(self, p: float) -> bool:
        return self.random.random() < p

    def template(self, train, test):
        """A held-out template in half of the test's cases."""
        return self.one(test) if self.test and self.chance(0.5) else self.one(train)

    def values(self, draw):
        """Draws tuples of values until one belongs to this split."""
        while True:
            drawn = draw()
            if held_out(*drawn) == self.test:
                return drawn

    def text(self, pattern: str, **slots) -> str:
        """`{a/b}` becomes a or b, `{name}` the slot."""
        while (found := _ALTERNATIVES.search(pattern)) is not None:
            pattern = pattern[: found.start()] + self.one(found[1].split("/")) + pattern[found.end() :]
        for name, value in slots.items():
            pattern = pattern.replace("{" + name + "}", str(value))
        return pattern


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def typed(source: Source, question: str, language: str) -> str:
    """As people type: with and without a capital, with and without the mark at the end."""
    ends = question[-1] in "?？.。!！"
    body = question.rstrip("?？.。!！")
    asks = question[-1] in "?？"
    if language == "en":
        style = source.random.random()
        body = capital(body) if style < 0.6 else body.lower() if style < 0.95 else body.upper()
        mark = source.one(["?", "?", "?", "", " ?"]) if asks else source.one([".", "", ""]) if ends else source.one(["?", "", "", "."])
        return body + mark
    mark = source.one(["？", "？", "?", ""]) if asks else source.one(["。", "", ""]) if ends else source.one(["？", "", "?", "。"])
    if source.chance(0.15):
        body = re.sub(r"(?<=[一-鿿])(?=[A-Za-z])|(?<=[A-Za-z])(?=[一-鿿])", " ", body)
    if source.chance(0.1):
        body = body.lower()
    return body + mark
