"""Small calculations with their steps. The numbers are chosen so that the results are whole."""
from source import Example, Source, capital, typed

PRINCIPALS = [*range(1, 21), 25, 30, 40, 50, 60, 80, 100]
PERCENTS = [5, 10, 15, 20, 25, 30, 40, 50, 60, 75, 80, 90]
ASK_INTEREST = {
    "en": ["what is the simple interest on {p} at {r}% for {n}?", "how much interest do {p} yuan earn at {r}% over {n}?", "calculate the simple interest: {p} at {r}% for {n}.", "I deposit {p} at {r}% for {n}. how much interest do I get?", "interest on {p}, {r}%, {n}?"],
    "zh": ["{p}元按年利率{r}%存{n}年，单利是多少？", "计算{p}元在{r}%利率下{n}年的利息", "本金{p}元，年利率{r}%，{n}年利息是多少？", "存{p}元，利率{r}%，{n}年能得多少利息？"],
}
ASK_INTEREST_TEST = {"en": ["someone saves {p} for {n} at a rate of {r}%. what is the interest?"], "zh": ["年利率{r}%，把{p}元存{n}年，利息一共多少？"]}
ASK_PERCENT = {
    "en": ["what is {p}% of {x}?", "how much is {p}% of {x}?", "calculate {p}% of {x}", "{p}% of {x}?", "{p} percent of {x} is how much?"],
    "zh": ["{x}的{p}%是多少？", "计算{x}的{p}%", "{x}的百分之{p}是多少？", "求{x}的{p}%"],
}
RATIOS = {
    "en": [
        ("the NPL ratio", "bad loans", "total loans", range(1, 10), (100, 200, 300, 400, 500, 600, 700, 800, 900)),
        ("the provision coverage ratio", "provisions", "bad loans", (80, 90, 100, 110, 120, 130, 150, 160, 180, 200, 250), (10, 20, 30, 40, 50, 60, 70, 80, 90)),
        ("the liquidity coverage ratio", "liquid assets", "net outflows", (80, 90, 95, 100, 105, 110, 120, 125, 130, 140, 150), (100, 200, 300, 400)),
        ("the capital adequacy ratio", "capital", "risk-weighted assets", range(8, 17), (100, 200, 300, 400, 500)),
        ("the loan-to-value ratio", "a loan", "a property value", (40, 50, 60, 65, 70, 75, 80, 90), (100, 200, 300, 400, 500)),
    ],
    "zh": [
        ("不良贷款率", "不良贷款", "贷款总额", range(1, 10), (100, 200, 300, 400, 500, 600, 700, 800, 900)),
        ("拨备覆盖率", "准备金", "不良贷款", (80, 90, 100, 110, 120, 130, 150, 160, 180, 200, 250), (10, 20, 30, 40, 50, 60, 70, 80, 90)),
        ("流动性覆盖率", "优质流动性资产", "净现金流出", (80, 90, 95, 100, 105, 110, 120, 125, 130, 140, 150), (100, 200, 300, 400)),
        ("资本充足率", "资本", "风险加权资产", range(8, 17), (100, 200, 300, 400, 500)),
        ("贷款价值比", "贷款", "房产价值", (40, 50, 60, 65, 70, 75, 80, 90), (100, 200, 300, 400, 500)),
    ],
}


def interest(s: Source, language: str) -> Example:
    k, r, n = s.values(lambda: (s.one(PRINCIPALS), s.random.randint(1, 9), s.random.randint(1, 5)))
    yearly, pattern = k * r * 10, s.template(ASK_INTEREST[language], ASK_INTEREST_TEST[language])
    if language == "zh":
        p = str(k * 1000)
        steps = f"每年利息：{p} × {r}% = {yearly}元。" + (f"{n}年利息：{yearly} × {n} = {yearly * n}元。" if n > 1 else f"因此利息为{yearly}元。")
        return Example("sum", language, s.text(pattern, p=p, r=r, n=n), steps, [[str(yearly * n)]])
    p = f"{k * 1000:,}"
    years = "1 year" if n == 1 else f"{n} years"
    question = s.text(pattern, p=p if s.chance(0.6) else k * 1000, r=r, n=years)
    steps = f"Interest for one year: {p} × {r}% = {yearly:,}." + (f" For {years}: {yearly:,} × {n} = {yearly * n:,}. " if n > 1 else " ")
    return Example("sum", language, capital(question), steps + f"The interest is {yearly * n:,}.", [[f"{yearly * n:,}"]])


def percent(s: Source, language: str) -> Example:
    p, k = s.values(lambda: (s.one(PERCENTS), s.random.randint(1, 20)))
    x, result = k * 100, p * k
    question = typed(s, s.text(s.one(ASK_PERCENT[language]), p=p, x=x), language)
    if language == "zh":
        return Example("sum", language, question, f"1%是{x} ÷ 100 = {k}。{p}%是{k} × {p} = {result}。", [[str(result)]])
    return Example("sum", language, question, f"1% of {x} is {k}. So {p}% is {k} × {p} = {result}.", [[str(result)]])


def ratio(s: Source, language: str) -> Example:
    i, r, below = s.values(lambda: (i := s.random.randrange(len(RATIOS["en"])), s.one(RATIOS["en"][i][3]), s.one(RATIOS["en"][i][4])))
    name, over, under, _, _ = RATIOS[language][i]
    above = r * below // 100
    if r * below % 100:
        return ratio(s, language)
    if language == "zh":
        question = s.one([f"{over}{above}亿元，{under}{below}亿元，{name}是多少？", f"计算{name}：{over}{above}，{under}{below}", f"如果{over}为{above}亿元、{under}为{below}亿元，{name}是多少？"])
        return Example("sum", language, question, f"{name} = {over} ÷ {under} = {above} ÷ {below} = {r}%。", [[f"{r}%"]])
    question = s.one([f"{over} are {above} million and {under} {below} million. what is {name}?", f"calculate {name} with {over} of {above} and {under} of {below}.", f"what is {name} if {over} are {above} and {under} {below}?"]).replace("a loan are", "a loan is").replace("a loan of", "a loan of")
    if over == "capital":
        question = question.replace("capital are", "capital is")
    bare = lambda words: words.removeprefix("a ")
    return Example("sum", language, capital(question), f"{capital(name)} is {bare(over)} divided by {bare(under)}: {above} ÷ {below} = {r}%.", [[f"{r}%"]])


def calculate(s: Source, language: str) -> Example:
    return s.one([interest, percent, ratio])(s, language)
