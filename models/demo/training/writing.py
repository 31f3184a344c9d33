"""Short summaries of a passage and e-mail drafts."""
import vocabulary as v
from source import Example, Source, capital

QUARTER = {"en": ["first quarter", "second quarter", "third quarter", "fourth quarter", "first half", "second half"], "zh": ["第一季度", "第二季度", "第三季度", "第四季度", "上半年", "下半年"]}
CAUSE = {
    "en": "strong demand from abroad|a new factory|lower energy prices|a good harvest|higher prices|new customers in the south|a weak currency|fewer strikes|its online shop|a large public order|delays at the port|rising wages|a recall of products|bad weather".split("|"),
    "zh": "海外需求旺盛|新工厂投产|能源价格下降|产品提价|新增客户|汇率变动|网上商店增长|一笔大额政府订单|港口延误|工资上涨|产品召回|天气不佳".split("|"),
}
PLAN = {
    "en": "open two new branches|hire fifty people|repay a bank loan|build a warehouse|buy a smaller rival|replace its machines|raise the dividend|cut its costs|enter the Asian market|invest in solar power".split("|"),
    "zh": "开设两家新门店|招聘五十名员工|归还一笔银行贷款|建设新仓库|收购一家同行|更新设备|提高分红|压缩成本|进入海外市场|投资太阳能".split("|"),
}
FILLER = {
    "en": ["The board met on {day} to discuss the report.", "Copies were sent to all members.", "A full report will follow.", "The file has number {n}.", "The report has {n} pages.", "Questions can be sent to the front office."],
    "zh": ["董事会在{day}讨论了报告。", "完整报告将随后公布。", "副本已发送给全体成员。", "档案编号为{n}。", "报告共有{n}页。", "如有疑问请联系综合部。"],
}
INCIDENT = {
    "en": [("the payment system", "a full disk"), ("the mobile app", "a wrong certificate"), ("the card terminal network", "a broken cable"), ("the online bank", "a failed update"), ("the cash machines", "a power cut"), ("the e-mail service", "a wrong setting"), ("the call centre", "a network fault")],
    "zh": [("支付系统", "磁盘已满"), ("手机银行", "证书错误"), ("刷卡终端", "线路中断"), ("网上银行", "更新失败"), ("自动取款机", "停电"), ("邮件服务", "配置错误"), ("客服中心", "网络故障")],
}
ASK = {
    "en": ["{please/could you/can you/now/hello,} {summarise/summarize/shorten/condense/sum up} {this/the following/the text/this report/this note}{: /.\n\n/.\n}{p}", "{p}\n{In short/Summary/The main point/In one sentence}{:/?/, please.}", "{give me/i want/i need} the {gist/essence/main point/short version} of this{: /.\n}{p}", "{text/report/passage}: {p}\n{summary/in short}:", "what {does this say/is this about/happened here} in {short/brief/a sentence}? {p}",
           "summarise this passage: {p}", "Summarise the following text in one or two sentences.\n\n{p}", "please give me a short summary: {p}", "Summary please:\n{p}", "sum up this text: {p}", "What are the main points of this text?\n\n{p}", "{p}\n\nSummarise this.", "summarize: {p}", "can you summarise this? {p}"],
    "zh": ["{请/麻烦/帮我/你好，请}{总结/概括/归纳/缩写}{这段话/下文/以下内容/这份报告/这则消息}{：/。\n\n/。\n}{p}", "{p}\n{一句话总结/简而言之/要点/概括一下}{：/。/？}", "{这段话/下文/这则消息}{说了什么/讲的是什么/的大意是什么}？{p}", "{原文/文本}：{p}\n{摘要/总结}：", "{给出/写出}{要点/大意/概要}：{p}",
           "请总结下面的内容：{p}", "用一两句话概括这段文字。\n\n{p}", "请概括：{p}", "总结一下：\n{p}", "这段话的要点是什么？\n\n{p}", "{p}\n\n请总结。", "摘要：{p}"],
}
ASK_TEST = {
    "en": ["Write a brief summary of the text below.\n{p}", "I have no time to read all of this: {p} Tell me the essentials."],
    "zh": ["请为下面的文字写一个简短的摘要。\n{p}", "我没时间细读：{p}告诉我重点。"],
}


def summary(s: Source, language: str) -> Example:
    passage, answer, keys = s.one([results, incident, lending])(s, language)
    question = s.text(s.template(ASK[language], ASK_TEST[language]))
    question = question.replace("{p}", ("" if language == "zh" else " ").join(passage))
    return Example("summary", language, capital(question), answer, keys)


def with_filler(s: Source, language: str, passage: list[str]) -> list[str]:
    for _ in range(s.random.randint(0, 2)):
        filler = s.text(s.one(FILLER[language]), day=s.one(v.DAYS_ZH if language == "zh" else v.DAYS_EN), n=v.digits(s, 3, 400))
        if filler not in passage:
            passage.insert(s.random.randint(1, len(passage)), filler)
    return passage


def results(s: Source, language: str):
    name, quarter, n, percent = s.values(lambda: (v.firm(s, language), s.one(QUARTER[language]), s.random.randint(2, 99), s.random.randint(1, 30)))
    up, plan = s.chance(0.6), s.one(PLAN[language])
    cause = s.one(CAUSE[language][: 8 if up and language == "zh" else 10] if up else CAUSE[language][-4:])
    if language == "zh":
        passage = [s.text("{q}{n}营业收入为{m}亿元，{u}{p}%。", q=quarter, n=name, m=n, u=s.one(["同比增长", "比上年增长"]) if up else s.one(["同比下降", "比上年下降"]), p=percent), f"主要原因是{cause}。", s.one([f"公司计划{plan}。", f"明年公司打算{plan}。"])]
        answer = s.text(s.one(["{n}{q}收入{u}{p}%，达到{m}亿元，原因是{c}。", "{q}{n}的收入{u}{p}%至{m}亿元，主要因为{c}。"]) + s.one(["公司计划{l}。", "下一步将{l}。"]), n=name, q=quarter, u="增长" if up else "下降", p=percent, m=n, c=cause, l=plan)
    else:
        verb = s.one(["rose", "grew"]) if up else s.one(["fell", "dropped"])
        passage = [s.one([f"In the {quarter} the revenue of {name} {verb} by {percent} percent to {n} million.", f"{name} reported revenue of {n} million for the {quarter}, which {verb} by {percent} percent."]), s.one([f"The main reason was {cause}.", f"The company explained this with {cause}."]), s.one([f"It plans to {plan}.", f"Next year it wants to {plan}."])]
        answer = s.one([f"{name}'s revenue {verb} by {percent} percent to {n} million in the {quarter} because of {cause}.", f"In the {quarter}, {name} had revenue of {n} million, which {verb} by {percent} percent because of {cause}."]) + s.one([f" It plans to {plan}.", f" The company wants to {plan}."])
    return with_filler(s, language, passage), answer, [[name.lower()], [str(n)]]


def incident(s: Source, language: str):
    i, minutes, number, day = s.values(lambda: (s.random.randrange(7), s.random.randint(5, 240), s.random.randint(2, 900), s.random.randrange(5)))
    system, cause = INCIDENT[language][i]
    if language == "zh":
        passage = [s.one([f"{v.DAYS_ZH[day]}{system}中断了{minutes}分钟。", f"{system}在{v.DAYS_ZH[day]}停止服务{minutes}分钟。"]), f"原因是{cause}。", s.one([f"有{number}名客户受到影响。", f"受影响的客户有{number}名。"]), s.one(["团队已恢复服务。", "问题已经解决。"])]
        answer = s.one([f"{v.DAYS_ZH[day]}{system}因{cause}中断{minutes}分钟，影响{number}名客户，现已恢复。", f"因{cause}，{system}停止服务{minutes}分钟，{number}名客户受影响，问题已解决。"])
    else:
        passage = [s.one([f"On {v.DAYS_EN[day]} {system} stopped for {minutes} minutes.", f"{capital(system)} was down for {minutes} minutes on {v.DAYS_EN[day]}."]), f"The cause was {cause}.", s.one([f"{number} customers were affected.", f"The fault affected {number} customers."]), s.one(["The team restored the service.", "The problem has been solved."])]
        answer = s.one([f"Because of {cause}, {system} was down for {minutes} minutes on {v.DAYS_EN[day]}, and {number} customers were affected. It works again.", f"{capital(system)} was down for {minutes} minutes because of {cause}. {number} customers were affected, and the problem is solved."])
    return with_filler(s, language, passage), answer, [[system], [str(minutes)]]


def lending(s: Source, language: str):
    who, money, months, _ = s.values(lambda: (s.one([v.firm, v.person])(s, language), v.digits(s, 1, 90) + "0000", s.one([12, 24, 36, 48, 60, 120]), s.random.randrange(10)))
    use = s.one(PLAN[language])
    good = s.chance(0.6)
    if language == "zh":
        passage = [f"{who}申请贷款{money}元，期限{months}个月。", f"资金用于{use}。", "收入稳定，没有逾期记录。" if good else "收入不稳定，去年有逾期记录。", "信贷部门建议批准。" if good else "信贷部门建议拒绝。"]
        answer = f"{who}申请{months}个月的贷款{money}元，用于{use}。" + s.one(["信贷部门建议{x}。", "建议{x}该申请。"]).replace("{x}", "批准" if good else "拒绝")
    else:
        passage = [f"{who} applies for a loan of {money} over {months} months.", f"The money is needed to {use}.", "The income is steady and there are no late payments." if good else "The income is not steady and there were late payments last year.", "The credit department recommends to approve it." if good else "The credit department recommends to reject it."]
        answer = f"{who} asks for a loan of {money} over {months} months to {use}. " + s.one(["The credit department recommends to {x} it.", "The advice is to {x} it."]).replace("{x}", "approve" if good else "reject")
    return with_filler(s, language, passage), answer, [[who.lower()], [money]]


TOPICS = {
    "en": [("missing documents", "we still need {x} for your file", "send it to us", "the latest balance sheet|a copy of your passport|the signed contract|your tax return|a proof of address"),
           ("an overdue payment", "the payment of {x} has not reached us yet", "settle the amount", "the monthly instalment|the last invoice|the annual fee|the insurance premium"),
           ("a meeting", "I would like to talk with you about {x}", "let me know whether you can come", "your loan application|the new credit line|the results of the year|your savings plan|the audit"),
           ("a change of terms", "we are going to change {x}", "read the enclosed terms and tell us your decision", "the interest rate of your account|the fees of your card|the limit of your overdraft|the terms of your deposit"),
           ("a loan approval", "we are pleased to tell you that {x} has been approved", "sign the contract", "your mortgage|your car loan|your business loan|your credit line"),
           ("an unusual transaction", "we noticed {x} on your account", "confirm that it was you", "a large transfer abroad|three cash withdrawals|a card payment at night|a new device")],
    "zh": [("补交资料", "您的资料中还缺少{x}", "补交该资料", "最新的资产负债表|身份证复印件|签字的合同|纳税证明|地址证明"), ("逾期付款", "我们尚未收到{x}", "完成付款", "本月的还款|上一笔账单|年费|保险费"),
           ("会议安排", "我想与您讨论{x}", "告知是否能够参加", "您的贷款申请|新的授信额度|年度业绩|储蓄计划|审计工作"), ("条款变更", "我们将调整{x}", "阅读附件中的条款并回复意见", "账户利率|银行卡费用|透支额度|存款条款"),
           ("贷款获批", "很高兴通知您，{x}已获批准", "签署合同", "您的住房贷款|您的汽车贷款|您的经营贷款|您的授信申请"), ("异常交易", "我们注意到您的账户有{x}", "确认是否为本人操作", "一笔大额境外转账|三次取现|夜间刷卡消费|新设备登录")],
}
ASK_MAIL = {
    "en": ["{please/now/could you/can you/hello,} {write/draft/prepare a draft of/compose} {an e-mail/a mail/a message/an email} {to/for/addressed to} {w}{: /. topic: /, about }{t}, {x}{, /; answer until /, due }{d}", "e-mail to {w}: {t} ({x}), {d}", "{mail/e-mail/message} {for/to} {w}\n{topic/about/regarding}: {t}\n{matter/item/detail}: {x}\n{until/deadline/by}: {d}", "{d} is the {deadline/last day}. {write to/mail} {w} about {t}, {x}.", "{tell/inform/remind} {w} by {e-mail/mail} about {t}: {x}. {until/by/latest} {d}",
           "write an e-mail to {w} about {t}: {x}, by {d}", "draft an email to {w} about {t} ({x}), deadline {d}", "please write a short mail to {w}: {t}, {x}, until {d}", "I need an e-mail to {w} on {t}. it concerns {x}. they should answer by {d}.", "compose an e-mail for {w} regarding {t}, {x}, by {d}"],
    "zh": ["{请/麻烦/帮我/你好，请}{写/起草/拟/准备}{一封/}{邮件/信件/电子邮件}{给/发给/寄给}{w}{，关于/，主题/：}{t}，{x}{，/；}{d}{前/之前/为限}", "邮件：{w}，{t}，{x}，{d}", "{收件人/发给}：{w}\n{主题/事由}：{t}\n{内容/涉及}：{x}\n{期限/截止}：{d}", "{用邮件/写邮件}{通知/提醒/告知}{w}{t}的事，{x}，{d}前", "{d}之前要让{w}知道{t}（{x}），请写邮件",
           "请给{w}写一封关于{t}的邮件：{x}，{d}之前", "写一封邮件给{w}，主题是{t}，涉及{x}，截止{d}", "帮我起草给{w}的邮件，{t}，{x}，{d}前回复", "给{w}写封邮件，内容：{t}，{x}，期限{d}"],
}
ASK_MAIL_TEST = {
    "en": ["could you prepare an e-mail to {w}? subject: {t}, namely {x}; reply by {d}", "{w} has to hear from us on {t}, that is {x}, no later than {d}. put it in an e-mail."],
    "zh": ["需要一封发给{w}的邮件，关于{t}（{x}），请在{d}前答复", "想通过邮件跟{w}谈谈{t}，就是{x}，最晚{d}"],
}


def email(s: Source, language: str) -> Example:
    topic, clause, request, things = s.one(TOPICS[language])
    who, thing, day = s.values(lambda: (v.person(s, language), s.one(things.split("|")), s.one(v.DAYS_ZH if language == "zh" else v.DAYS_EN)))
    if language == "zh":
        title = s.one(["先生", "女士"])
        name = who[0] + title if s.chance(0.5) else who + title
        about = clause.replace("{x}", thing)
        body = s.text(s.one(["", "", "{您好/打扰了}{！/。}", "感谢您{对本行的信任/一直以来的支持/的配合}。"])) + about + "。" + s.text(s.one(["{请/请您/烦请/麻烦您}{在/于/最迟于}" + day + "{之前/前}" + request + "。", "为此，{请/烦请}" + f"{request}，{day}" + "{前完成/之前办理}。", f"{request}" + "的期限{是/为}" + day + "。"])) + s.text(s.one(["", "", "{如有/若有}{疑问/问题/不明之处}，{请/欢迎}{随时/尽管}{联系我们/来电/回复}。", "{感谢/多谢}{您的配合/您的理解}。"]))
        answer = f"主题：{topic}\n\n尊敬的{name}：\n\n{body}\n\n" + s.one(["此致\n敬礼", "祝好", "顺祝商祺", "谢谢！"])
    else:
        name = s.one(["Mr ", "Ms "]) + who.split()[1] if s.chance(0.5) else who
        opening = s.text(s.one(["", "", "{I hope/We hope} {you are well/all is well}. ", "{Thank you/Many thanks} for {your trust/your patience/your time}. ", "{This is about/I write about/A short note on} " + topic + ". "]))
        asking = s.text(s.one(["{Please/Kindly} " + request + "{ by / before / no later than }" + day + ".", "{Could/Would} you {please /kindly /}" + request + "{ by / before / until }" + day + "?", "By " + day + " {please/we ask you to} " + request + ".", "{We ask you/May I ask you} to " + request + " {by/before} " + day + "."]))
        closing = s.text(s.one(["", "", " {If anything is unclear/If you have questions/Should you have questions}, {call us/please reply/let me know/write to me}.", " {Thank you/Many thanks}{./ in advance./ for your help.}"]))
        body = opening + capital(clause.replace("{x}", thing)) + ". " + asking + closing
        answer = f"Subject: {capital(topic)}\n\nDear {name},\n\n{body}\n\n{s.one(['Kind regards', 'Yours sincerely', 'Best regards', 'With best wishes', 'Regards', 'Yours truly'])}"
    question = s.text(s.template(ASK_MAIL[language], ASK_MAIL_TEST[language]), w=name, t=topic, x=thing, d=day)
    return Example("email", language, capital(question), answer, [[name.lower()], [thing.lower()]])
