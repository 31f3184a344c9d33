"""Every question and answer of the held-out set, and some awkward texts, as our own tokenizer splits them: for compare.ts."""
import json
import sys
from pathlib import Path

from tokenizer import Vocabulary

vocabulary = Vocabulary(Path(sys.argv[1]) / "tokenizer.json")
AWKWARD = ["", " ", "  two  spaces ", "\n\n\n", "a\tb\r\nc", "12345 1,250.00 €3,5", "it's we'll DON'T I'M", "naïve café ÄÖÜ ß", "😀👩‍👩‍👧 flags 🇨🇳", "，。！？；：“”‘’（）《》", "全角１２３ＡＢＣ　空格",
           "العربية हिन्दी ไทย 한국어 日本語", "<|im_start|>user", "<|im_end|>", "a<|endoftext|>b", "x = {\"k\": [1, 2.5e-3, null]}", "\u200b\u00a0\u3000 end", "①②½Ⅳ", "--- *** ___ ###", "mixed中文English混合 text123数字"]
for line in Path(sys.argv[2]).read_text("utf8").splitlines():
    AWKWARD += [json.loads(line)["question"], json.loads(line)["answer"]]
for text in AWKWARD:
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text, text
    print(json.dumps({"text": text, "tokens": ids}, ensure_ascii=False))
