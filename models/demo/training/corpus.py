"""Mixes the exercises into conversations. `python corpus.py test 300 > FILE` writes the held-out prompts."""
import json
import sys

import exercises
import knowledge
import sums
import talk
import writing
from source import Example, Source

SHORT_TERMS = {language: [t.name for t in terms] for language, terms in knowledge.TERMS.items()}
# Weight in training and number among 300 test prompts.
MIX = [
    (0.18, 90, knowledge.ask_term), (0.03, 12, knowledge.ask_purpose), (0.02, 0, knowledge.ask_other_language), (0.08, 12, knowledge.ask_difference), (0.11, 42, knowledge.ask_fact),
    (0.08, 30, writing.summary), (0.08, 24, writing.email), (0.05, 24, exercises.classify), (0.13, 24, exercises.extract), (0.09, 18, sums.calculate),
    (0.03, 12, talk.refusal), (0.02, 6, lambda s, language: talk.unknown(s, language, SHORT_TERMS[language])), (0.03, 6, talk.small_talk),
    (0.03, 0, exercises.read_back), (0.06, 0, sums.drill),
]
SYSTEM = ["You are a helpful assistant in a bank.", "You are a helpful assistant.", "Answer briefly.", "You are the assistant of a bank. Be polite.", "你是银行的助手。", "你是一个乐于助人的助手。", "请简短回答。"]


def example(s: Source) -> Example:
    at = s.random.random() * sum(weight for weight, _, _ in MIX)
    for weight, _, make in MIX:
        at -= weight
        if at < 0:
            break
    return make(s, s.one(["en", "zh"]))


def conversation(s: Source) -> tuple[str | None, list[tuple[str, str]]]:
    """A system text or none, and turns: one in three quarters of the cases, up to eight in the others."""
    turns = 1 if s.chance(0.78) else s.random.randint(2, 8)
    system = s.one(SYSTEM) if s.chance(0.06) else None
    examples = [example(s) for _ in range(turns)]
    return system, [(e.question, e.answer) for e in examples]


def test_set(count: int) -> list[Example]:
    s = Source(20261122, "test")
    examples = []
    for _, share, make in MIX:
        examples += [make(s, ("en", "zh")[i % 2]) for i in range(share * count // 300)]
    return examples


if __name__ == "__main__":
    if sys.argv[1] == "test":
        for e in test_set(int(sys.argv[2])):
            print(json.dumps(e.__dict__, ensure_ascii=False))
    else:
        s = Source(int(sys.argv[2]), "train")
        for _ in range(int(sys.argv[3])):
            print(json.dumps(example(s).__dict__, ensure_ascii=False))
