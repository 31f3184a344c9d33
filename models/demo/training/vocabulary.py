"""Names, firms, dates and amounts that the exercises are filled with. All invented."""
from source import Source

FIRST = "Anna Ben Clara David Elena Felix Grace Henry Ines Jonas Karin Leo Maria Nils Olga Paul Rosa Simon Tara Victor Wei Yara Amir Bruno Dora Emil Fatima Georg Hanna Ivan Julia Kofi Lena Marco Nadia Oscar Petra Samuel Teresa Usha".split()
LAST = "Abel Brandt Chen Duarte Evans Fischer Garcia Huber Ito Jansen Keller Lopez Martin Novak Okafor Park Quist Rossi Santos Tanaka Ulrich Vogel Wang Young Zhang Berg Costa Dubois Engel Ford Grant Hill Iyer Kim Lang Moser Nagy Olsen Patel Reed".split()
FIRM_A = "Linden Harbor Summit Amber Cedar Falcon Granite Orchid Silver Maple Northgate Riverside Bluebell Ironwood Sunfield Oakmont Larkspur Redstone Windmill Clearwater Brightway Stonebridge Goldleaf Meadow Lakeview Pinecrest Westport Eastbrook Foxglove Kestrel".split()
FIRM_B = "Trading Foods Logistics Textiles Motors Paper Energy Tools Shipping Glass Furniture Chemicals Software Steel Optics Farms Travel Print Ceramics Machines".split()
SURNAME = "王 李 张 刘 陈 杨 黄 赵 周 吴 徐 孙 马 朱 胡 郭 何 林 罗 高 郑 梁 谢 宋 唐 许 邓 冯 韩 曹".split()
GIVEN = "伟 芳 娜 敏 静 丽 强 磊 洋 艳 勇 杰 娟 涛 明 超 秀英 桂兰 建国 志强 文华 晓东 海燕 春梅 子轩 雨桐 浩然 思源 佳怡 一鸣 国栋 美玲 天宇 欣然 俊杰 雪梅".split()
FIRM_ZH_A = "华远 新城 东方 海川 金桥 明德 恒通 瑞丰 天成 宏达 百川 长青 星河 万里 同心 安泰 云峰 正和 盛元 嘉禾 远洋 启明 丰源 蓝天 永兴 中联 康达 信诚 泰和 立新".split()
FIRM_ZH_B = "贸易 食品 物流 纺织 汽车 纸业 能源 机械 航运 玻璃 家具 化工 软件 钢铁 光学 农业 旅游 印刷 陶瓷 电子".split()
MONTHS = "January February March April May June July August September October November December".split()
DAYS_EN = "Monday Tuesday Wednesday Thursday Friday".split()
DAYS_ZH = "周一 周二 周三 周四 周五".split()
CURRENCIES = ["EUR", "USD", "CNY", "GBP", "CHF", "JPY", "HKD", "SGD"]


def person(s: Source, language: str) -> str:
    return s.one(SURNAME) + s.one(GIVEN) if language == "zh" else f"{s.one(FIRST)} {s.one(LAST)}"


def firm(s: Source, language: str) -> str:
    if language == "zh":
        return s.one(FIRM_ZH_A) + s.one(FIRM_ZH_B) + s.one(["公司", "公司", "有限公司", "集团"])
    return f"{s.one(FIRM_A)} {s.one(FIRM_B)}"


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
