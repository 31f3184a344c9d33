"""Small calculations with their steps. The numbers are chosen so that the results are whole, and so that every step is a copy or a small product."""
from source import Example, Source, capital, typed

PRINCIPALS = [*range(1, 21), 25, 30, 40, 50, 60, 80, 100]
PERCENTS = [5, 10, 15, 20, 25, 30, 40, 50, 60, 75, 80, 90]
ASK_INTEREST = {
    "en": ["{p} at {r}% simple interest, {n}: how much is the interest?", "at {r}% a year, what do {p} yield in {n}?", "simple interest of {r}% on {p}, {n}", "work out the interest on {p} over {n} at {r}%", "if {p} earn {r}% a year, how much is that after {n}?", "my deposit is {p}, the rate {r}%, the term {n}. what interest do I get?",
           "what is the simple interest on {p} at {r}% for {n}?", "how much interest do {p} yuan earn at {r}% over {n}?", "calculate the simple interest: {p} at {r}% for {n}.", "I deposit {p} at {r}% for {n}. how much interest do I get?", "interest on {p}, {r}%, {n}?"],
    "zh": ["{p}元，{r}%，{n}年，利息多少？", "我有{p}元，年利率{r}%，{n}年后利息是多少？", "{n}年期存款{p}元，利率{r}%，求利息", "以{r}%的年利率计算{p}元{n}年的单利", "利率{r}%，本金{p}元，期限{n}年，请算利息",
           "{p}元按年利率{r}%存{n}年，单利是多少？", "计算{p}元在{r}%利率下{n}年的利息", "本金{p}元，年利率{r}%，{n}年利息是多少？", "存{p}元，利率{r}%，{n}年能得多少利息？"],
}
ASK_INTEREST_TEST = {
    "en": ["someone saves {p} for {n} at a rate of {r}%. what is the interest?", "a bank pays {r}% a year; a customer leaves {p} there for {n}. tell me his interest."],
    "zh": ["年利率{r}%，把{p}元存{n}年，利息一共多少？", "客户在银行放了{p}元，{n}年，每年{r}%，他得到多少利息？"],
}
ASK_PERCENT = {
    "en": ["{p}% of {x}", "work out {p}% of {x}", "please compute {p} percent of {x}", "take {p}% of {x}", "how many are {p}% of {x}?", "find {p} percent of {x}", "what is {p}% of {x}?", "how much is {p}% of {x}?", "calculate {p}% of {x}", "{p}% of {x}?", "{p} percent of {x} is how much?"],
    "zh": ["{x}的{p}%", "请算出{x}的{p}%", "{x}的{p}%等于几？", "{x}乘以{p}%是多少？", "帮我算{x}的百分之{p}", "{x}的{p}%是多少？", "计算{x}的{p}%", "{x}的百分之{p}是多少？", "求{x}的{p}%"],
}
ASK_PERCENT_TEST = {"en": ["a share of {p}% out of {x}: how much?", "I have {x} and give away {p}%. how much is that?"], "zh": ["{x}里面拿出{p}%，是多少？", "总数{x}，占百分之{p}的部分是多少？"]}
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
        steps = f"{p}元的1%是{k * 10}元。每年利息：{k * 10} × {r} = {yearly}元。" + (f"{n}年利息：{yearly} × {n} = {yearly * n}元。" if n > 1 else f"因此利息为{yearly}元。")
        return Example("sum", language, s.text(pattern, p=p, r=r, n=n), steps, [[str(yearly * n)]])
    p = f"{k * 1000:,}"
    years = "1 year" if n == 1 else f"{n} years"
    question = s.text(pattern, p=p if s.chance(0.6) else k * 1000, r=r, n=years)
    steps = f"1% of {p} is {k * 10:,}. One year: {k * 10:,} × {r} = {yearly:,}." + (f" For {years}: {yearly:,} × {n} = {yearly * n:,}. " if n > 1 else " ")
    return Example("sum", language, capital(question), steps + f"The interest is {yearly * n:,}.", [[f"{yearly * n:,}"]])


def percent(s: Source, language: str) -> Example:
    p, k = s.values(lambda: (s.one(PERCENTS), s.random.randint(1, 20)))
    x, result = k * 100, p * k
    question = typed(s, s.text(s.template(ASK_PERCENT[language], ASK_PERCENT_TEST[language]), p=p, x=x), language)
    # In tens, so that the product is of small numbers: 40% of 700 is four times 70.
    if p % 10 == 0:
        part, times, step = 10, p // 10, 10 * k
    else:
        part, times, step = 5, p // 5, 5 * k
    if language == "zh":
        return Example("sum", language, question, f"{x}的{part}%是{step}。{p}%是{step} × {times} = {result}。", [[str(result)]])
    return Example("sum", language, question, f"{part}% of {x} is {step}. So {p}% of {x} is {step} × {times} = {result}.", [[str(result)]])


def ratio(s: Source, language: str) -> Example:
    i, r, below = s.values(lambda: (i := s.random.randrange(len(RATIOS["en"])), s.one(RATIOS["en"][i][3]), s.one(RATIOS["en"][i][4])))
    name, over, under, _, _ = RATIOS[language][i]
    above = r * below // 100
    if r * below % 100:
        return ratio(s, language)
    if language == "zh":
        question = s.template(
            [f"{over}{above}亿元，{under}{below}亿元，{name}是多少？", f"计算{name}：{over}{above}，{under}{below}", f"如果{over}为{above}亿元、{under}为{below}亿元，{name}是多少？", f"{name}怎么算：{over}{above}、{under}{below}？", f"请求出{name}（{over}{above}，{under}{below}）", f"已知{over}{above}，{under}{below}，求{name}"],
            [f"某银行{under}{below}，{over}{above}，它的{name}有多高？"],
        )
        answer = f"{name} = {over} ÷ {under}。" + (f"{below}的1%是{below // 100}，{above} ÷ {below // 100} = {r}，即{r}%。" if below >= 100 else f"{below}的10%是{below // 10}，{above} ÷ {below // 10} = {r // 10}，即{r}%。")
        return Example("sum", language, question, answer, [[f"{r}%"]])
    question = s.template([f"given {over} of {above} and {under} of {below}, find {name}.", f"{name}: {over} {above}, {under} {below}?", f"how high is {name} with {over} of {above} and {under} of {below}?", f"please work out {name}. {over} are {above}, {under} {below}.", f"{over} are {above} million and {under} {below} million. what is {name}?", f"calculate {name} with {over} of {above} and {under} of {below}.", f"what is {name} if {over} are {above} and {under} {below}?"], [f"a bank has {under} of {below} and {over} of {above}; tell me {name}."]).replace("a loan are", "a loan is").replace("a loan of", "a loan of")
    if over == "capital":
        question = question.replace("capital are", "capital is")
    bare = lambda words: words.removeprefix("a ")
    answer = f"{capital(name)} is {bare(over)} divided by {bare(under)}. " + (f"1% of {below} is {below // 100}, and {above} ÷ {below // 100} = {r}. So it is {r}%." if below >= 100 else f"10% of {below} is {below // 10}, and {above} ÷ {below // 10} = {r // 10}. So it is {r}%.")
    return Example("sum", language, capital(question), answer, [[f"{r}%"]])


ASK_DRILL = {
    "en": ["calculate: {x}", "{please/now/hello,} {calculate/work out/compute} {x}", "what {is/are} {x}?", "{x}", "results of {x}, please", "{x} = ?"],
    "zh": ["计算：{x}", "{请/帮我/麻烦}{计算/算出/算一下}{x}", "{x}等于几？", "{x}", "{x}的结果", "{x} = ?"],
}


def drill(s: Source, language: str) -> Example:
    """The products and quotients that the steps above are made of, several at a time."""
    shown = (lambda n: f"{n:,}") if language == "en" else str

    def item():
        form, k = s.random.randrange(4), s.one(PRINCIPALS)
        if form == 0:
            return k * 10, "×", s.random.randint(1, 9)
        if form == 1:
            return k * s.random.randint(1, 9) * 10, "×", s.random.randint(1, 5)
        if form == 2:
            return 5 * s.random.randint(1, 20), "×", s.one([1, 3, 5, 15])
        _, _, _, rates, below = s.one(RATIOS["en"])
        under = s.one([b // 100 if b >= 100 else b // 10 for b in below])
        return s.one(rates) * under, "÷", under

    items = s.values(lambda: tuple(item() for _ in range(s.random.randint(1, 8))))
    question = s.text(s.one(ASK_DRILL[language])).replace("{x}", s.one([", ", "; "]).join(f"{shown(a)} {sign} {b}" for a, sign, b in items))
    results = [a * b if sign == "×" else a // b for a, sign, b in items]
    lines = [f"{shown(a)} {sign} {b} = {shown(result)}" for (a, sign, b), result in zip(items, results)]
    return Example("sum", language, capital(question), "\n".join(lines), [[shown(results[0])]])


def calculate(s: Source, language: str) -> Example:
    return s.one([interest, percent, ratio])(s, language)
