"""Formal letters, English and Chinese, for the adapter: `python letters.py test 60 > FILE` writes held-out prompts.

The base model answers such a request with an everyday e-mail; the adapter with a letter: salutation by title, subject
line, the passive and distant phrases of the register, a formal close and the bank's name.
"""
import json
import sys

import vocabulary as v
from source import Example, Source, capital

# subject line; what is told, with a place for the matter; what is asked for; matters
EN = [
    ("Outstanding documents", "we beg to inform you that {x} {is/remains} outstanding", "let us have the same", "the audited balance sheet|a certified copy of your passport|the countersigned agreement|the tax assessment|the certificate of incorporation|the list of shareholders"),
    ("Payment overdue", "our records show that {x} {has not been received/remains unpaid}", "arrange for its settlement", "the instalment due in March|the annual fee|the invoice of the last quarter|the premium for the current year|the interest payment"),
    ("Invitation to a meeting", "we should be pleased to discuss {x} with you", "indicate whether the date would suit you", "the renewal of your credit line|the annual results|the audit findings|the terms of the mortgage|your investment plans"),
    ("Amendment of terms", "we hereby give notice that {x} will be amended", "acknowledge receipt of the enclosed conditions", "the interest rate on your account|the schedule of fees|the limit of the overdraft|the conditions of the deposit|the card agreement"),
    ("Approval of your application", "we have the pleasure of informing you that {x} has been approved", "return the signed contract", "your mortgage|the working capital facility|your application for a guarantee|the letter of credit|your car loan"),
    ("Termination of the agreement", "we regret to inform you that {x} will be terminated", "make the necessary arrangements", "the safe deposit agreement|the credit agreement|the custody account|the standing order|the leasing contract"),
    ("Complaint received", "we acknowledge with thanks your letter concerning {x}", "forward any further particulars", "the charges on your statement|the delayed transfer|the conduct of our branch|the declined card|the exchange rate applied"),
]
ZH = [
    ("补充材料", "{贵方/您}尚缺{x}", "惠予补交", "经审计的资产负债表|护照公证件|已签署的协议|完税证明|营业执照副本|股东名册"),
    ("逾期款项", "经查，{x}{尚未收讫/至今未付}", "尽早结清", "三月份的分期款|本年度年费|上季度账款|当年保费|应付利息"),
    ("会议邀请", "{我行/本行}拟就{x}与{贵方/您}商谈", "惠示可否出席", "授信续期|年度业绩|审计结果|按揭条款|投资计划"),
    ("条款变更", "{我行/本行}谨此通知，{x}将予调整", "签收所附条款", "账户利率|收费标准|透支额度|存款条件|银行卡协议"),
    ("申请获批", "欣悉{x}业已获批", "签署并寄回合同", "按揭贷款申请|流动资金贷款|保函申请|信用证申请|车贷申请"),
    ("协议终止", "{我行/本行}遗憾地通知，{x}将予终止", "妥为安排", "保管箱协议|授信协议|托管账户|定期转账委托|租赁合同"),
    ("来函收悉", "{贵方/您}关于{x}的来函业已收悉", "补充有关详情", "账单费用|转账延误|网点服务|银行卡被拒|所用汇率"),
]
BANK = {"en": ["For the Bank", "The Management", "Customer Relations", "On behalf of the Bank", "The Credit Department"], "zh": ["本行", "客户关系部", "信贷部", "管理部", "营业部"]}
ASK = {
    "en": ["write a letter to {w} about {t}: {x}, by {d}", "{please/could you/can you/now} {write/draft/compose} a {formal /}letter to {w} {about/on/concerning} {t}, {x}{, until /; by }{d}", "letter to {w}: {t}, {x}, {d}", "{draft/prepare} a {letter/business letter} for {w}. {it concerns/matter:} {x}, {deadline/due} {d}.", "I need a letter to {w} on {t} ({x}), answer by {d}", "a {formal/business} letter, please: {w}, {t}, {x}, {d}",
           "write an e-mail to {w} about {t}: {x}, by {d}", "draft an email to {w} about {t} ({x}), deadline {d}"],
    "zh": ["请给{w}写一封信，关于{t}：{x}，{d}之前", "{请/帮我/麻烦}{写/起草/拟}一封{正式/}{信函/公函/信}给{w}，{t}，{x}，{d}{前/之前}", "信函：{w}，{t}，{x}，{d}", "给{w}的{公函/信}，{事由/主题}{t}，涉及{x}，期限{d}", "需要一封{正式信函/公函}：{w}、{t}、{x}、{d}",
           "请给{w}写一封关于{t}的邮件：{x}，{d}之前", "写一封邮件给{w}，主题是{t}，涉及{x}，截止{d}"],
}
ASK_TEST = {
    "en": ["could you put this into a letter for {w}? it is about {t}, namely {x}, and {d} is the last day", "{w} should get a letter from us: {t}, {x}. reply wanted by {d}"],
    "zh": ["想寄一封信给{w}，说明{t}（{x}），最晚{d}", "麻烦以书信形式告知{w}{t}一事：{x}，{d}前回复"],
}
# By these an answer shows its register: one of each must stand in it.
SALUTATION = {"en": ["dear sir or madam", "dear sirs", "dear mr ", "dear ms "], "zh": ["台鉴", "钧鉴", "敬启者"]}
CLOSE = {"en": ["yours faithfully", "yours respectfully", "we remain, yours"], "zh": ["谨启", "谨上", "敬上"]}


def letter(s: Source, language: str) -> Example:
    subject, told, asked, things = s.one(EN if language == "en" else ZH)
    who, thing, day = s.values(lambda: (v.person(s, language), s.one(things.split("|")), s.one(v.DAYS_ZH if language == "zh" else v.DAYS_EN)))
    if language == "zh":
        title = s.one(["先生", "女士"])
        name = s.one([who + title, who + title, who[0] + title])
        greeting = s.one([f"{name}台鉴：", f"{name}台鉴：", f"{name}钧鉴：", f"敬启者：\n\n致{name}"])
        body = s.text(told, x=thing) + "。" + s.text(s.one(["敬请于{d}前{a}为荷。", "务请于{d}之前{a}，{不胜感激/至为感谢}。", "谨请{d}前{a}。"]), d=day, a=asked) + s.text(s.one(["", "如有垂询，敬请{赐示/来函}。", "专此函达，{敬希查照/即请察照}。"]))
        answer = f"{greeting}\n\n事由：{subject}\n\n{body}\n\n{s.one(['顺颂商祺', '顺颂台安', '谨致敬意'])}\n{s.one(BANK[language])}{s.one(['谨启', '谨启', '谨上', '敬上'])}"
    else:
        name = s.one(["Mr ", "Ms "]) + who.split()[1] if s.chance(0.7) else who
        greeting = f"Dear {name}," if name.startswith(("Mr ", "Ms ")) else s.one(["Dear Sir or Madam,", "Dear Sirs,"])
        addressed = "" if name.startswith(("Mr ", "Ms ")) else f"For the attention of {name}\n\n"
        body = capital(s.text(told, x=thing)) + ". " + s.text(s.one(["We should be {obliged/grateful} if you would {a} no later than {d}.", "You are kindly requested to {a} by {d}.", "May we {respectfully /}ask you to {a} {on or before/by} {d}."]), a=asked, d=day) + s.text(s.one(["", " Should you require further particulars, we remain at your disposal.", " We {thank you for/appreciate} your {kind attention/co-operation} in this matter."]))
        answer = f"{addressed}{greeting}\n\nRe: {subject}\n\n{body}\n\n{s.one(['Yours faithfully,', 'Yours faithfully,', 'Yours respectfully,', 'We remain, yours faithfully,'])}\n{s.one(BANK[language])}"
    question = s.text(s.template(ASK[language], ASK_TEST[language]), w=name, t=subject.lower() if language == "en" else subject, x=thing, d=day)
    return Example("letter", language, capital(question), answer, [SALUTATION[language], CLOSE[language]])


if __name__ == "__main__":
    s = Source(int(sys.argv[3]) if len(sys.argv) > 3 else 20261123, sys.argv[1])
    for i in range(int(sys.argv[2])):
        print(json.dumps(letter(s, ("en", "zh")[i % 2]).__dict__, ensure_ascii=False))
