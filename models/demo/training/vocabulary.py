"""Names, firms, dates and amounts that the exercises are filled with. All invented."""
from source import Source

FIRST = "Anna Ben Clara David Elena Felix Grace Henry Ines Jonas Karin Leo Maria Nils Olga Paul Rosa Simon Tara Victor Wei Yara Amir Bruno Dora Emil Fatima Georg Hanna Ivan Julia Kofi Lena Marco Nadia Oscar Petra Samuel Teresa Usha".split()
LAST = "Abel Brandt Chen Duarte Evans Fischer Garcia Huber Ito Jansen Keller Lopez Martin Novak Okafor Park Quist Rossi Santos Tanaka Ulrich Vogel Wang Young Zhang Berg Costa Dubois Engel Ford Grant Hill Iyer Kim Lang Moser Nagy Olsen Patel Reed".split()
FIRM_A = "Linden Harbor Summit Amber Cedar Falcon Granite Orchid Silver Maple Northgate Riverside Bluebell Ironwood Sunfield Oakmont Larkspur Redstone Windmill Clearwater Brightway Stonebridge Goldleaf Meadow Lakeview Pinecrest Westport Eastbrook Foxglove Kestrel".split()
FIRM_B = "Trading Foods Logistics Textiles Motors Paper Energy Tools Shipping Glass Furniture Chemicals Software Steel Optics Farms Travel Print Ceramics Machines".split()
SURNAME = "王 李 张 刘 陈 杨 黄 赵 周 吴 徐 孙 马 朱 胡 郭 何 林 罗 高 郑 梁 谢 宋 唐 许 邓 冯 韩 曹 曾 彭 萧 蔡 潘 田 董 袁 于 余 叶 蒋 杜 苏 魏 程 吕 丁 沈 任 姚 卢 姜 崔 钟 谭 陆 汪 范 金 石 廖 贾 夏 韦 方 白 邹 孟 熊 秦 邱 江 尹 薛".split()
GIVEN = "伟 芳 娜 敏 静 丽 强 磊 洋 艳 勇 杰 娟 涛 明 超 秀英 桂兰 建国 志强 文华 晓东 海燕 春梅 子轩 雨桐 浩然 思源 佳怡 一鸣 国栋 美玲 天宇 欣然 俊杰 雪梅".split()
FIRM_ZH_A = "华远 新城 东方 海川 金桥 明德 恒通 瑞丰 天成 宏达 百川 长青 星河 万里 同心 安泰 云峰 正和 盛元 嘉禾 远洋 启明 丰源 蓝天 永兴 中联 康达 信诚 泰和 立新".split()
FIRM_ZH_B = "贸易 食品 物流 纺织 汽车 纸业 能源 机械 航运 玻璃 家具 化工 软件 钢铁 光学 农业 旅游 印刷 陶瓷 电子".split()
ONSETS = "b br c ch d dr f g gr h j k kl l m n p pr r s st t tr v w z".split()
VOWELS = "a e i o u ai ea ie o a e".split()
CODAS = "n l r s m k t nd rt x th ".split(" ")
# Characters that names of people and firms are made of.
GIVEN_SIGN = "安博晨大东恩方飞凤刚光桂国海浩和红宏华慧嘉建江杰金景静军俊凯兰乐丽莲良亮林玲龙美梦民明娜宁鹏平琪琴清秋荣瑞珊胜诗思松涛天婷文武希霞祥翔小晓欣新星秀雪雅燕阳怡艺英永勇友宇雨玉远云哲珍正志忠子紫"
FIRM_SIGN = "安宝北博昌长成诚城达大德东方丰福富港高光广国海汉航和恒宏华汇吉佳嘉建江金京景凯康科蓝力利联隆美民明南宁鹏平启青荣瑞润山尚胜盛顺泰腾天通同万威西祥新信兴雅亚阳易银永优宇元远悦云泽正中众卓"
MONTHS = "January February March April May June July August September October November December".split()
DAYS_EN = "Monday Tuesday Wednesday Thursday Friday".split()
DAYS_ZH = "周一 周二 周三 周四 周五".split()
CURRENCIES = ["EUR", "USD", "CNY", "GBP", "CHF", "JPY", "HKD", "SGD"]


def person(s: Source, language: str) -> str:
    """Half of them from the lists, half put together from syllables or signs: so a name has to be read, not known."""
    if language == "zh":
        return s.one(SURNAME) + (s.one(GIVEN) if s.chance(0.5) else "".join(s.one(GIVEN_SIGN) for _ in range(s.one([1, 2, 2]))))
    first = s.one(FIRST) if s.chance(0.6) else invented(s, s.one([1, 2]))
    return f"{first} {s.one(LAST) if s.chance(0.5) else invented(s, s.one([2, 2, 3]))}"


def invented(s: Source, syllables: int) -> str:
    return "".join(s.one(ONSETS) + s.one(VOWELS) for _ in range(syllables)).capitalize() + s.one(CODAS)


def firm(s: Source, language: str) -> str:
    if language == "zh":
        name = s.one(FIRM_ZH_A) if s.chance(0.4) else s.one(FIRM_SIGN) + s.one(FIRM_SIGN)
        return name + s.one(FIRM_ZH_B) + s.one(["公司", "公司", "有限公司", "集团"])
    return f"{s.one(FIRM_A) if s.chance(0.5) else invented(s, 2)} {s.one(FIRM_B)}"


def digits(s: Source, least: int, most: int) -> str:
    return str(s.random.randint(least, most))


def amount(s: Source) -> str:
    """A sum of money as plain digits, in sizes that occur."""
    whole = s.one([s.random.randint(10, 999), s.random.randint(1, 99) * 100, s.random.randint(1000, 99999), s.random.randint(1, 90) * 1000])
    return f"{whole}.{s.random.randint(0, 99):02}" if s.chance(0.35) else str(whole)


def date(s: Source) -> tuple[int, int, int]:
    return s.random.randint(2024, 2029), s.random.randint(1, 12), s.random.randint(1, 28)


def spoken_date(s: Source, language: str, when: tuple[int, int, int]) -> str:
    year, month, day = when
    if language == "zh":
        return f"{year}年{month}月{day}日"
    return s.one([f"{day} {MONTHS[month - 1]} {year}", f"{MONTHS[month - 1]} {day}, {year}", f"{year}-{month:02}-{day:02}"])


def iso(when: tuple[int, int, int]) -> str:
    return f"{when[0]}-{when[1]:02}-{when[2]:02}"
