"""Terms explained, and what Strongroom is: questions and answers put together from text/terms-*.txt and text/facts-*.txt."""
import re
from dataclasses import dataclass

from source import TEXT, Example, Source, capital, typed

PLURAL = {"risk-weighted assets", "equal instalments", "equal principal payments"}
ARTICLE = re.compile(r"^(the|an|a) ")

ASK = {
    "en": [
        "what is {a}", "what is {a}", "what is {b}", "what's {b}", "what's {a}", "explain {a}", "explain {b}", "explain {b} to me",
        "please explain {b}", "please explain what {a} is", "can you explain {b}?", "could you explain {b} in simple words?",
        "define {b}", "define {a}", "definition of {b}", "what does {b} mean?", "what is meant by {b}?", "what does the term {b} mean?",
        "tell me what {a} is", "tell me about {b}", "i do not understand {b}.", "what do bankers mean by {b}?", "how would you define {b}?",
        "meaning of {b}", "{b}", "{b}", "in short, what is {a}?", "give me a short explanation of {b}", "what do you know about {b}?",
        "{please/could you please/now} {define/explain/clarify/spell out} {b}", "{b}: {what is that/what does it mean/please explain/meaning}?", "{quick/simple/short} {definition/explanation} of {b}", "{what/how} {would/do} you {call/understand by} {b}?", "i {came across/read about/heard of} {b}. {what is it/what does it mean}?", "what {sort/kind} of thing is {a}?", "teach me what {b} {is/means}", "{give me/i need/write} {the definition of/a sentence on/a line about} {b}",
        "what is {b} in banking?", "do you know what {b} means?", "what are {b}?", "hi, what is {a}?", "so what is {a}?", "explain the term {b}",
    ],
    "zh": [
        "什么是{b}", "什么是{b}", "什么是{b}？", "{b}是什么", "{b}是什么？", "{b}是什么意思？", "请解释{b}", "解释一下{b}", "请解释一下{b}",
        "请问什么是{b}？", "请问{b}是什么？", "{b}指的是什么？", "何为{b}？", "{b}的定义是什么？", "介绍一下{b}", "请介绍{b}", "说明一下{b}",
        "我想了解{b}", "{b}", "{b}", "简单说说{b}", "用简单的话解释{b}", "能解释一下{b}吗？", "你能告诉我什么是{b}吗？", "谈谈{b}",
        "{请/麻烦/烦请}{解释/说明/介绍/讲讲}{b}", "{b}：{这是什么/是什么意思/请解释/含义}？", "{一句话/简短/通俗地}{解释/说明}{b}", "我{听说过/看到/读到}{b}，{那是什么/是什么意思}？", "{b}到底是什么{东西/概念/}？", "给我讲讲{b}", "{b}这个{词/术语/概念}{是什么意思/怎么解释}？",
        "{b}怎么理解？", "你好，什么是{b}？", "银行里的{b}是什么？", "解释{b}", "你知道{b}吗？", "{b}是啥？",
    ],
}
ASK_TEST = {
    "en": ["could you tell me what {a} is?", "i would like to know what {b} means", "help me understand {b}", "describe {b} briefly", "what exactly is {a}?"],
    "zh": ["如何理解{b}？", "帮我解释一下{b}", "{b}的含义是什么？", "我不明白{b}是什么", "能否说明什么是{b}？"],
}
ASK_PURPOSE = {
    "en": ["what is {a} for?", "what is {b} good for?", "why does {b} matter?", "what is the purpose of {a}?", "why do banks need {b}?", "why is {b} important?"],
    "zh": ["{b}有什么用？", "{b}有什么作用？", "为什么需要{b}？", "{b}的目的是什么？", "{b}为什么重要？", "银行为什么要关注{b}？"],
}
ASK_OTHER_LANGUAGE = {
    "en": ["explain {b} in Chinese", "what is {b}? please answer in Chinese.", "tell me in Chinese what {b} means"],
    "zh": ["用英文解释{b}", "请用英语说明{b}", "什么是{b}？请用英文回答。"],
}
COMPARE = {
    "en": ["difference between {b} and {d}", "{b} versus {d}", "{b} or {d}: what is which?", "is {b} the same as {d}?", "what distinguishes {b} from {d}?", "please explain the difference between {b} and {d}", "how do {b} and {d} differ?", "{b} vs {d}?", "contrast {b} with {d}",
           "what is the difference between {b} and {d}?", "{b} and {d}: what is the difference?", "compare {b} and {d}", "how does {b} differ from {d}?"],
    "zh": ["{b}与{d}的差别", "{b}和{d}一样吗？", "请比较{b}与{d}", "{b}同{d}的不同之处是什么？", "怎样区分{b}和{d}？", "请解释{b}和{d}的区别", "{b}、{d}，两者有什么不同？",
           "{b}和{d}有什么区别？", "{b}与{d}的区别是什么？", "比较{b}和{d}", "{b}和{d}有何不同？"],
}


COMPARE_TEST = {"en": ["people mix up {b} and {d}; how are they unlike?", "put {b} beside {d} for me"], "zh": ["我分不清{b}和{d}", "{b}跟{d}到底差在哪里？"]}


@dataclass(frozen=True)
class Term:
    language: str
    name: str
    names: tuple[str, ...]
    what: str
    purpose: str
    more: str

    @property
    def short(self) -> str:
        return ARTICLE.sub("", self.name)


def read_terms() -> dict[str, list[Term]]:
    terms: dict[str, list[Term]] = {"en": [], "zh": []}
    for path in sorted(TEXT.glob("terms-*.txt")):
        lines = [line for line in path.read_text("utf8").splitlines() if line and not line.startswith("#")]
        for index, line in enumerate(lines):
            names, what, purpose, more = line.split(" | ")
            language = "zh" if index % 2 else "en"
            listed = tuple(names.split(";"))
            terms[language].append(Term(language, listed[0], listed, what, purpose, more))
    return terms


TERMS = read_terms()


def definition(s: Source, t: Term) -> str:
    acronym = next((n for n in t.names[1:] if n.isupper() and n.isascii()), None)
    if t.language == "zh":
        n = t.name + (s.text("（{x}）", x=acronym) if acronym and s.chance(0.4) else "")
        lead = s.one(["{n}是{w}", "{n}是指{w}", "{n}指的是{w}", "所谓{n}，是指{w}", "简单来说，{n}就是{w}", "在银行业，{n}指{w}", "{n}就是{w}", "一般所说的{n}，是{w}", "{n}即{w}"])
        return s.text(lead, n=n, w=t.what) + "。"
    n = t.name + (f" ({acronym})" if acronym and s.chance(0.4) else "")
    be, mean = ("are", "mean") if t.name in PLURAL else ("is", "means")
    lead = s.one(["{n} {be} {w}", "{n} {be} {w}", "{n} {mean} {w}", "in banking, {n} {be} {w}", "in short, {n} {be} {w}", "put simply, {n} {be} {w}",
                  "by {n} we mean {w}", "{n}, as bankers use the term, {be} {w}", "in plain words, {n} {be} {w}"])
    return capital(s.text(lead, n=n, w=t.what, be=be, mean=mean)) + "."


def purpose(s: Source, t: Term) -> str:
    p = t.purpose
    if t.language == "zh":
        if p.startswith("描述"):
            return "这个词用来" + p + "。"
        if t.name.endswith("风险"):
            return s.one(["银行衡量它，是为了", "银行关注它，以便", "了解它有助于", "管理它的目的是"]) + p + "。"
        return s.text(s.one(["{它的/其}{作用/目的/用途/意义/用处/功能}{是/在于/就是}", "{它/这}{用来/有助于/可以/能够/帮助人们/主要用于/旨在/为的是}", "{这样做/有了它/设立它/使用它/引入它}{，就可以/，是为了/，便于/，目的是/，能够}", "{银行/人们/机构}{借助它/靠它/用它/通过它}"])) + p + "。"
    if p.startswith("describe "):
        return "The word is used to " + p + "."
    if t.name.endswith(" risk"):
        return s.one(["Banks measure it to ", "Banks watch it in order to ", "Knowing it helps to ", "Managing it means to "]) + p + "."
    if t.name in PLURAL:
        return s.one(["They serve to ", "They help to ", "Their purpose is to ", "The aim is to "]) + p + "."
    return s.text(s.one(["{Its/The} {main /first /chief /whole //real }{purpose/aim/use/point/role/task/object} is to ", "It {mainly /above all /chiefly /also //in practice }{serves/helps/exists/is used/is needed/is made} to ", "It is {meant/there/designed/intended/introduced/kept} to ", "{Banks/People/Firms} {use/need/have/keep} it {so as to/in order to/to} ", "With it one can "])) + p + "."


def detail(s: Source, t: Term) -> str:
    if t.language == "zh":
        return s.text(s.one(["", "", "{另外/此外/同时/还有}{，/：}", "{需要/应当/值得}{注意/知道/说明/留意}的是，", "{请/还请/要}{注意/记住/知道/留意}{，/：}", "补充{一点/一句}：", "{一般/通常}来说，"])) + t.more + "。"
    lead = s.text(s.one(["", "", "{Note/Remember/Mind/Bear in mind/Keep in mind} that ", "{Also/Besides/In addition/Beyond that/By the way}, ", "It is {good/useful/worth your while/important} to know that ", "{One more point/A detail/One thing more}: ", "It {should/may} be {added/noted/said} that ", "{As a rule/In general}, "]))
    return capital(lead + t.more) + "."


def explained(s: Source, t: Term) -> str:
    joint = "" if t.language == "zh" else " "
    rest = [purpose(s, t), detail(s, t)]
    if s.chance(0.35):
        rest.reverse()
    # Mostly two sentences, now and then one or three.
    if s.chance(0.65):
        rest.pop()
    if s.chance(0.1):
        rest.clear()
    return joint.join([definition(s, t), *rest])


def subject(t: Term) -> list[str]:
    """Words by which an answer shows that it speaks of this term."""
    return [w.lower() for w in (t.short, *t.names)]


def named(s: Source, t: Term) -> str:
    """The term as people type it: mostly the usual name, else an alias."""
    return t.short if s.chance(0.6) else ARTICLE.sub("", s.one(t.names))


def fill(s: Source, pattern: str, t: Term, other: Term | None = None) -> str:
    b = named(s, t)
    a = t.name if b == t.short else b
    if s.chance(0.15):
        a = b
    return s.text(pattern).replace("{a}", a).replace("{b}", b).replace("{d}", named(s, other) if other else "")


def ask_term(s: Source, language: str) -> Example:
    pattern = s.template(ASK[language], ASK_TEST[language])
    if pattern in ASK_TEST[language]:
        t = s.one(TERMS[language])
    else:
        pattern, t = s.values(lambda: (s.one(ASK[language]), s.one(TERMS[language])))
    return Example("term", language, typed(s, fill(s, pattern, t), language), explained(s, t), [subject(t)], parts=[t.what])


def ask_purpose(s: Source, language: str) -> Example:
    pattern, t = s.values(lambda: (s.one(ASK_PURPOSE[language]), s.one(TERMS[language])))
    answer = definition(s, t) + ("" if language == "zh" else " ") + purpose(s, t)
    return Example("term", language, typed(s, fill(s, pattern, t), language), answer, [subject(t)], parts=[t.what])


def ask_other_language(s: Source, language: str) -> Example:
    pattern, index = s.values(lambda: (s.one(ASK_OTHER_LANGUAGE[language]), s.random.randrange(len(TERMS["en"]))))
    wanted = "en" if language == "zh" else "zh"
    question = typed(s, fill(s, pattern, TERMS[language][index]), language)
    return Example("term", wanted, question, explained(s, TERMS[wanted][index]), [subject(TERMS[wanted][index])], parts=[TERMS[wanted][index].what])


def ask_difference(s: Source, language: str) -> Example:
    """Neighbours in the list mostly, since they belong together."""
    terms = TERMS[language]

    def draw():
        i = s.random.randrange(len(terms))
        j = i + s.one([-3, -2, -1, 1, 2, 3]) if s.chance(0.7) else s.random.randrange(len(terms))
        return i, j % len(terms)

    i, j = s.values(draw)
    if i == j:
        j = (i + 1) % len(terms)
    t, u = terms[i], terms[j]
    b, d = named(s, t), named(s, u)
    question = typed(s, s.template(COMPARE[language], COMPARE_TEST[language]).replace("{b}", b).replace("{d}", d), language)
    # The names as they were asked come first: what is compared stands before what it means.
    if language == "zh":
        lead = s.one(["{b}与{d}不同：", "{b}和{d}是两回事。", "{b}、{d}：", "比较{b}与{d}：", "要区分{b}和{d}："]).replace("{b}", b).replace("{d}", d)
        answer = lead + s.one(["{x}是{w}，而{y}是{v}。", "{x}是指{w}；{y}则是指{v}。", "前者，{x}，是{w}；后者，{y}，是{v}。", "{x}是{w}。{y}是{v}。"])
    else:
        lead = s.one(["{b} and {d} are different things. ", "{b} and {d} are not the same. ", "{b}, {d}: ", "To compare {b} with {d}: ", "The difference between {b} and {d}: "]).replace("{b}", b).replace("{d}", d)
        answer = capital(lead) + s.one(["{X} {be} {w}, while {y} {is} {v}.", "{X} {be} {w}. {Y}, on the other hand, {is} {v}.", "{X} {be} {w}; {y} {is} {v}.", "{X} {be} {w}. {Y} {is} {v}."])
    be, is_ = ("are" if x.name in PLURAL else "is" for x in (t, u))
    answer = s.text(answer, X=capital(t.name), Y=capital(u.name), x=t.name, y=u.name, w=t.what, v=u.what, be=be)
    return Example("compare", language, question, answer.replace("{is}", is_), [subject(t), subject(u)], parts=[t.what, u.what])


@dataclass(frozen=True)
class Fact:
    questions: list[str]
    keys: list[str]
    sentences: list[tuple[bool, list[str]]]


def read_facts(language: str) -> list[Fact]:
    facts: list[Fact] = []
    for line in (TEXT / f"facts-{language}.txt").read_text("utf8").splitlines():
        mark, _, rest = line.partition(": ")
        if mark == "q":
            facts.append(Fact(rest.split(" | "), [], []))
        elif mark == "k":
            facts[-1].keys.extend(rest.split(","))
        elif mark in ("s", "s?"):
            facts[-1].sentences.append((mark == "s?", rest.split(" | ")))
    return facts


FACTS = {language: read_facts(language) for language in ("en", "zh")}
ABOUT = {
    "en": ["{q}", "{q}", "{q}", "{q}", "and {q}", "so, {q}", "my question is: {q}", "i would like to ask: {q}", "one thing: {q}", "please tell me, {q}", "i have a question: {q}", "quick question: {q}", "hello, {q}", "can you tell me {q}"],
    "zh": ["{q}", "{q}", "{q}", "{q}", "还有，{q}", "那么，{q}", "能说说吗：{q}", "想请教一下，{q}", "请回答：{q}", "请问，{q}", "你好，{q}", "我想知道，{q}", "请告诉我，{q}"],
}


def ask_fact(s: Source, language: str) -> Example:
    fact = s.one(FACTS[language])
    asked, pattern = s.values(lambda: (s.one(fact.questions), s.one(ABOUT[language])))
    sentences = [s.text(s.one(forms)) for optional, forms in fact.sentences if not (optional and s.chance(0.4))]
    answer = ("" if language == "zh" else " ").join(sentences)
    return Example("fact", language, typed(s, pattern.replace("{q}", asked), language), answer, [[k.lower() for k in fact.keys]])
