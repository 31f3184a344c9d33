"""Extraction as JSON, transaction notes and sums with their steps."""
import json

import vocabulary as v
from source import Example, Source, capital

TEXT_FIELD = {"type": "string"}
NUMBER_FIELD = {"type": "number"}
ENTRY = {
    "payment": {
        "fields": {"payer": TEXT_FIELD, "payee": TEXT_FIELD, "amount": NUMBER_FIELD, "currency": TEXT_FIELD, "date": TEXT_FIELD},
        "en": ["please pay {amount} {currency} from {payer} to {payee} on {date}.", "{payer} transfers {amount} {currency} to {payee} on {date}.",
               "on {date} {payer} sent {amount} {currency} to {payee}.", "transfer order of {date}: {amount} {currency}, from {payer}, to {payee}.",
               "{payee} received {currency} {amount} from {payer} on {date}."],
        "en_test": ["{payer} asks us to wire {amount} {currency} to {payee} by {date}.", "dated {date}: {payer} owes {payee} {amount} {currency}.", "{payee} is to get {amount} {currency}, which {payer} sends on {date}."],
        "zh": ["请于{date}从{payer}向{payee}支付{amount} {currency}。", "{payer}于{date}向{payee}转账{amount} {currency}。", "{date}，{payer}汇给{payee}{amount} {currency}。",
               "付款指令：付款人{payer}，收款人{payee}，金额{amount} {currency}，日期{date}。", "{payee}于{date}收到{payer}的{amount} {currency}。"],
        "zh_test": ["{payer}要求在{date}之前汇给{payee}{amount} {currency}。", "{date}这天，{payee}的账上进了{payer}付的{amount} {currency}。"],
    },
    "loan": {
        "fields": {"applicant": TEXT_FIELD, "amount": NUMBER_FIELD, "months": NUMBER_FIELD, "purpose": TEXT_FIELD},
        "en": ["{applicant} applies for a loan of {amount} over {months} months for {purpose}.", "loan application: {applicant}, {amount}, {months} months, {purpose}.",
               "{applicant} needs {amount} for {purpose} and wants to repay it in {months} months.", "for {purpose}, {applicant} asks for a loan of {amount}, to be repaid in {months} months."],
        "en_test": ["{applicant} would like to borrow {amount} for {purpose}, repayable over {months} months.", "over {months} months {applicant} could pay back the {amount} needed for {purpose}."],
        "zh": ["{applicant}申请贷款{amount}元，期限{months}个月，用于{purpose}。", "贷款申请：{applicant}，金额{amount}元，{months}个月，用途为{purpose}。", "{applicant}因{purpose}需要借款{amount}元，计划{months}个月还清。"],
        "zh_test": ["为了{purpose}，{applicant}想借{amount}元，分{months}个月归还。", "{months}个月、{amount}元，这是{applicant}为{purpose}提出的借款。"],
    },
    "customer": {
        "fields": {"name": TEXT_FIELD, "account": TEXT_FIELD, "phone": TEXT_FIELD},
        "en": ["customer {name}, account {account}, phone {phone}.", "{name} holds account {account} and can be reached at {phone}.", "the phone number of {name} is {phone}, the account is {account}.",
               "new contact: {name}, {phone}, account {account}."],
        "en_test": ["account {account} belongs to {name}, who can be called at {phone}.", "call {phone} and ask for {name} about account {account}."],
        "zh": ["客户{name}，账号{account}，电话{phone}。", "{name}的账号是{account}，联系电话{phone}。", "{name}的电话为{phone}，账户为{account}。"],
        "zh_test": ["账号{account}属于{name}，可拨打{phone}联系。", "拨{phone}可以找到{name}，其账号是{account}。"],
    },
    "invoice": {
        "fields": {"supplier": TEXT_FIELD, "number": TEXT_FIELD, "amount": NUMBER_FIELD, "due": TEXT_FIELD},
        "en": ["invoice {number} of {supplier}: {amount}, due {due}.", "{supplier} sent invoice {number} over {amount}, payable until {due}.", "until {due} we owe {supplier} {amount} (invoice {number}).",
               "number {number}, {amount}, due on {due}, from {supplier}.", "{supplier} - {number} - {amount} - {due}"],
        "en_test": ["the bill {number} that came from {supplier} asks for {amount} before {due}."],
        "zh": ["{supplier}的发票{number}，金额{amount}元，{due}到期。", "发票号{number}，供应商{supplier}，金额{amount}元，到期日{due}。", "{due}前须向{supplier}支付{amount}元，发票{number}。", "{number}，{supplier}，{amount}元，{due}"],
        "zh_test": ["收到{supplier}寄来的账单{number}，要求{due}之前付清{amount}元。"],
    },
}
PURPOSES = {
    "en": "a new kitchen|a car|new machines|a house|a wedding|school fees|a delivery van|solar panels|a roof repair|stock for the shop|a boat|computers|office furniture|a medical treatment".split("|"),
    "zh": "装修厨房|购买汽车|购置设备|购买住房|婚礼|支付学费|购买货车|安装太阳能板|修缮房屋|补充库存|采购电脑|办公家具|医疗费用|经营周转".split("|"),
}
EXTRACT = {
    "en": [
        "extract {f} as JSON: {t}", "Extract {f} as JSON.\n\n{t}", "Return a JSON object with {f}: {t}", "Read the text and give me {f} as JSON.\n{t}", "{t}\n\nExtract {f} as JSON.", "Turn this into JSON with the fields {f}: {t}",
        "{please/could you please/can you/now/hello,} {pull out/extract/pick out/collect/list} {f} {as JSON/in JSON format/as a JSON object}{: /.\n/\n\n}{t}", "{t}\n{JSON, please/As JSON, please/Give me JSON}: {f}", "JSON {with/of/for} {f}{:/ from:/ out of this:}{ /\n}{t}",
        "{Text/Message/Note}: {t}\n{Fields/Keys/Wanted}: {f}\n{Output/Format/Answer}: JSON", "{find/get/write down/fill in/fetch/note} {f} {in the text/in the message/in this note/below} and {answer/reply/respond} {in/with} JSON{. /: /.\n}{t}",
        "what {are/would be} {f} here? {Answer with/Only/Just} JSON.{ /\n}{t}", "{convert/transform/change/put} the {text/message/sentence/note} {to/into} JSON ({f}){: /.\n}{t}", "{t} -> JSON {with/having} {f}",
    ],
    "zh": [
        "提取{f}，以JSON格式输出：{t}", "请从下面的文字中提取{f}，输出JSON。\n\n{t}", "把下面的内容转换为JSON，字段为{f}：{t}", "{t}\n\n请以JSON格式提取{f}。", "用JSON给出{f}：{t}",
        "{请/麻烦/帮我/你好，请/请你}{找出/抽取/整理/列出/提取/摘录}{f}，{用JSON表示/格式为JSON/结果用JSON/输出成JSON}{：/。/。\n}{t}", "{文本/内容/消息/原文}：{t}\n{字段/需要/项目}：{f}\n{输出/格式}：JSON", "{t}{\n/ }{把它变成/整理为/转成}JSON，{包含/含有/字段}{f}",
        "{从这句话/从这段话/在下文/在以下内容}{中/里}{找到/取出/抽出}{f}，{只输出/给出/写成}JSON{：/。\n}{t}", "JSON（{f}）{：/\n}{t}", "{f}{分别是什么/各是多少/是什么}？{以/用}JSON{作答/回答}。{t}", "{把/将}{f}{填入/放进/写入}JSON{：/。\n}{t}",
    ],
}
EXTRACT_TEST = {
    "en": ["I need {f} from this text, in JSON: {t}", "Here is a text: {t} What does it say about {f}? Use JSON."],
    "zh": ["请阅读文字并用JSON返回{f}。\n{t}", "看看这段文字：{t}我要的是{f}，JSON即可。"],
}


def extract(s: Source, language: str) -> Example:
    kind = s.one(list(ENTRY))
    entry = ENTRY[kind]

    def draw():
        party = lambda: v.firm(s, language) if s.chance(0.6) else v.person(s, language)
        if kind == "payment":
            return party(), party(), v.amount(s), s.one(v.CURRENCIES), v.date(s)
        if kind == "loan":
            return party(), v.amount(s).split(".")[0], str(s.one([6, 12, 18, 24, 36, 48, 60, 72, 84, 96, 120, 180, 240])), s.one(PURPOSES[language])
        if kind == "invoice":
            return v.firm(s, language), s.one(["", "A", "R-", "INV", "2026/"]) + v.digits(s, 100, 99999), v.amount(s), v.date(s)
        return v.person(s, language), v.digits(s, 10**7, 10**8 - 1), v.digits(s, 10**6, 10**7 - 1)

    drawn = s.values(draw)
    fields = dict(zip(entry["fields"], drawn))
    dated = {"payment": "date", "invoice": "due"}.get(kind)
    if dated is not None:
        when = fields[dated]
        slots = {**fields, dated: v.spoken_date(s, language, when)}
        fields[dated] = v.iso(when)
    else:
        slots = dict(fields)
    if language == "en" and s.chance(0.5) and kind != "customer":
        slots["amount"] = f"{float(fields['amount']):,.2f}" if "." in fields["amount"] else f"{int(fields['amount']):,}"
    text = capital(s.text(s.template(entry[language], entry[language + "_test"]), **slots))
    names = list(entry["fields"])
    # Asked for some fields only, or in another order, a learner has to read them; the test asks for all.
    if not s.test and s.chance(0.4):
        s.random.shuffle(names)
        names = names[: s.random.randint(2, len(names))]
    listed = ("、" if language == "zh" else ", ").join(names[:-1]) + ("和" if language == "zh" else " and ") + names[-1]
    question = s.text(s.template(EXTRACT[language], EXTRACT_TEST[language])).replace("{f}", listed).replace("{t}", text)
    values = []
    for name in names:
        kind_of = entry["fields"][name]
        values.append(f'"{name}": ' + (fields[name] if kind_of is NUMBER_FIELD else json.dumps(fields[name], ensure_ascii=False)))
    schema = {"type": "object", "properties": {name: entry["fields"][name] for name in names}, "required": names, "additionalProperties": False}
    first = fields[names[0]]
    return Example("extract", language, capital(question), "{" + ", ".join(values) + "}", [[first.lower()]], schema)


NOTES = {
    "en": {
        "groceries": ("supermarket|grocery store|bakery|butcher|farmers market|food hall", "it is a purchase of food"),
        "rent": ("monthly rent|flat rent|rent for apartment|landlord payment|office rent", "it is a payment for rent"),
        "salary": ("salary|monthly wages|payroll|bonus from employer|wage payment", "it is income from work"),
        "utilities": ("electricity bill|gas bill|water bill|internet bill|phone bill|heating", "it is a household bill"),
        "travel": ("airline ticket|train ticket|hotel booking|car rental|taxi ride|ferry ticket", "it is spending on a journey"),
        "dining": ("restaurant|coffee shop|pizza place|noodle bar|lunch canteen|tea house", "it is spending on meals out"),
        "insurance": ("insurance premium|car insurance|home insurance|life insurance|liability policy", "it is an insurance premium"),
        "loan repayment": ("loan instalment|mortgage payment|car loan repayment|credit repayment", "it pays back a loan"),
        "tax": ("income tax|tax office|property tax|value added tax|vehicle tax", "it is a payment of tax"),
        "cash": ("cash machine withdrawal|ATM withdrawal|cash at counter|cash dispenser", "cash was taken out"),
        "health": ("pharmacy|dentist|hospital bill|optician|doctor's fee|physiotherapy", "it is a cost of health care"),
        "education": ("tuition fee|school books|language course|university fee|kindergarten fee", "it is a cost of education"),
    },
    "zh": {
        "食品": ("超市购物|生鲜市场|面包店|水果店|菜市场|粮油店", "这是购买食品的支出"), "房租": ("月租金|公寓房租|支付房东|办公室租金|房屋租赁费", "这是房租支出"),
        "工资": ("工资|月薪|奖金发放|代发工资|劳务报酬", "这是工作收入"), "公用事业": ("电费|燃气费|水费|宽带费|话费|暖气费", "这是家庭日常账单"),
        "出行": ("机票|火车票|酒店预订|租车费|出租车|船票", "这是出行支出"), "餐饮": ("餐厅|咖啡店|面馆|火锅店|食堂午餐|茶馆", "这是外出就餐的支出"),
        "保险": ("保险费|车险|家财险|寿险保费|责任险", "这是保险费支出"), "还贷": ("贷款月供|房贷还款|车贷还款|信用贷款还款", "这笔款项用于归还贷款"),
        "税款": ("个人所得税|税务局|房产税|增值税|车船税", "这是缴纳税款"), "现金": ("自动取款机取现|ATM取款|柜台取现|现金支取", "这是提取现金"),
        "医疗": ("药店|牙科诊所|医院缴费|眼镜店|门诊费|理疗费", "这是医疗支出"), "教育": ("学费|教材费|语言课程|大学缴费|幼儿园费用", "这是教育支出"),
    },
}
NOTE_FORM = {
    "en": ["{n} {m}", "{n}, {m} {c}", "card payment {n} {m}", "{n} {p} {m} {c}", "{p}: {n}", "payment ref {r} {n}", "{d} {n} {m}", "{n} - {p}"],
    "zh": ["{n} {m}元", "{n}，{m}元", "刷卡消费 {n} {m}", "{p} {n} {m}元", "{n}-{p}", "附言：{n}", "流水{r} {n}", "{n} 编号{r}"],
}
CLASSIFY = {
    "en": ["{please/can you/could you/hello,/now} {classify/sort/categorise/label} {this/the} {note/transaction/payment/booking}: {t}", "{category/kind/type/class} of {this note/this transaction/this booking}? {t}", "{t} - {which/what} {category/kind/class/group}{?/ is it?/ fits?}", "{note/booking text/statement line}: {t}\n{category/kind}{:/?}", "{find/tell me/give me/name} the category {of/for} \"{t}\"", "{sort/file/book} \"{t}\" {under a/into a/by} category", "\"{t}\"{: what category/, which kind of spending/, what is it for}?",
           "classify this transaction note: {t}", "which category does this transaction belong to: {t}", "what kind of transaction is this: \"{t}\"?", "Classify the note \"{t}\".", "put this payment into a category: {t}", "transaction note: {t}. which category?", "categorise: {t}"],
    "zh": ["{请/麻烦/帮我/你好，}{判断/归类/分类/标注}{这笔交易/这条附言/这笔款项/下面的流水}：{t}", "{t}{，是什么类别/，属于哪一类/，算哪类支出/ 的类别}？", "{附言/流水/摘要}：{t}\n{类别/分类}{：/？}", "{给出/说出/写出}“{t}”的{类别/分类}", "{把/将}“{t}”{分到一类/归类/分类}", "“{t}”是{哪种/哪类/什么}交易？",
           "请对这条交易附言分类：{t}", "这笔交易属于哪一类：{t}", "交易附言“{t}”属于什么类别？", "给这笔付款分类：{t}", "分类：{t}", "判断交易类别：{t}"],
}
CLASSIFY_TEST = {
    "en": ["to which category would you assign \"{t}\"?", "my statement says \"{t}\"; where does that go?"],
    "zh": ["“{t}”应该归入哪个类别？", "对账单上写着“{t}”，这算什么？"],
}


def classify(s: Source, language: str) -> Example:
    category = s.one(list(NOTES[language]))
    words, reason = NOTES[language][category]
    note, form = s.values(lambda: (s.one(words.split("|")), s.one(NOTE_FORM[language])))
    t = s.text(form, n=note, m=v.amount(s), c=s.one(v.CURRENCIES), p=s.one([v.firm, v.person])(s, language), r=v.digits(s, 1000, 99999), d=v.iso(v.date(s)))
    if language == "en" and s.chance(0.4):
        t = t.upper() if s.chance(0.4) else capital(t)
    question = s.text(s.template(CLASSIFY[language], CLASSIFY_TEST[language])).replace("{t}", t)
    if language == "zh":
        answer = s.one([f"类别：{category}。附言中的“{note}”说明{reason}。", f"这笔交易属于“{category}”：{reason}。", f"类别是{category}，因为{reason}。"])
    else:
        question = capital(question) if s.chance(0.7) else question
        answer = s.one([f"Category: {category}. The note \"{note}\" shows that {reason}.", f"Category: {category}, because {reason}.", f"This belongs to the category {category}: {reason}."])
    return Example("classify", language, question, answer, [[category]])


READ_BACK = {
    "en": ["repeat: {x}", "{please/now/hello,/could you} {repeat/say again/read back/copy}{: / /\n}{x}", "{repeat/copy/read back} {this/the following} word for word: {x}", "{x}\n{Repeat this./Read it back./Say it again.}", "read back the {number/reference/entry} {x}", "{copy/write} \"{x}\" {again/once more}"],
    "zh": ["请重复：{x}", "{请/麻烦/帮我}{复述/重复/抄写/照抄}{：/ /\n}{x}", "{逐字重复/原样输出/照原文写}：{x}", "{x}\n{请重复/请复述/再说一遍}", "核对{号码/编号/记录}{x}"],
}
LISTED = {"en": ["list these in the same order: {x}", "number these: {x}", "make a numbered list of {x}", "{x}: as a list, please"], "zh": ["按顺序列出：{x}", "请给下列各项编号：{x}", "把{x}列成清单"]}


def read_back(s: Source, language: str) -> Example:
    """Copying, which the other exercises need: numbers and names said again as they stand."""

    def item() -> str:
        return s.one([
            lambda: v.person(s, language), lambda: v.firm(s, language), lambda: v.digits(s, 10 ** s.random.randint(1, 9), 10**10), lambda: f"{v.amount(s)} {s.one(v.CURRENCIES)}",
            lambda: v.iso(v.date(s)), lambda: v.spoken_date(s, language, v.date(s)), lambda: s.one(PURPOSES[language]), lambda: s.one(["A", "R-", "INV", "K", "2026/"]) + v.digits(s, 100, 99999),
        ])()

    items = s.values(lambda: tuple(item() for _ in range(s.random.randint(1, 6))))
    joint = "、" if language == "zh" else ", "
    if len(items) > 2 and s.chance(0.4):
        question = s.one(LISTED[language]).replace("{x}", joint.join(items))
        return Example("copy", language, capital(question), "\n".join(f"{i + 1}. {x}" for i, x in enumerate(items)), [[items[0].lower()]])
    x = joint.join(items)
    return Example("copy", language, capital(s.text(s.one(READ_BACK[language])).replace("{x}", x)), x, [[x.lower()]])
