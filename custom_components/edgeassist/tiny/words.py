"""The words of commands and questions, English and Chinese, that an answer is held against.

Imports nothing of Home Assistant.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Language = Literal["en", "zh"]
HAN: Final = re.compile(r"[\u3400-\u9fff]")

# What a device is called. An answer that names another device than the words do is not acted on.
DEVICES: Final[dict[str, dict[Language, str]]] = {
    "light": {
        "en": r"lights?|lamps?|lighting|bulbs?|brightness|dim(?:mer)?|brighten",
        "zh": "电灯|灯光|灯|照明|亮度",
    },
    "fan": {"en": r"fans?|ventilators?|ventilation", "zh": "电风扇|风扇"},
    "heating": {
        "en": r"(?:floor )?heating|heaters?|radiators?|thermostats?|heat",
        "zh": "温控器|暖风机|取暖器|地暖|暖气",
    },
    "air_conditioner": {
        "en": r"air ?con(?:ditioners?|ditioning)?|ac|a/c|cooling",
        "zh": "空调机|空调|冷气",
    },
    "blinds": {
        "en": r"(?:roller )?(?:blinds?|shutters?|shades?)|awnings?",
        "zh": "百叶窗|遮阳帘|卷帘|百叶|遮阳篷",
    },
    "curtains": {"en": r"curtains?|drapes", "zh": "窗帘|纱帘|帘子"},
    "window": {"en": r"windows?|skylights?", "zh": "天窗|窗户|窗子|窗(?!帘)"},
    "door": {"en": r"doors?|gates?|locks?", "zh": "大门|房门|门锁|门"},
    "socket": {"en": r"sockets?|plugs?|outlets?|power strips?", "zh": "插座|插排|电源"},
    "tv": {"en": r"tvs?|televisions?|telly|screens?", "zh": "电视机|电视|屏幕"},
    "speaker": {
        "en": r"speakers?|music|radio|stereo|volume|sound",
        "zh": "收音机|音箱|音响|音乐|音量|声音",
    },
    "vacuum": {
        "en": r"(?:robot )?vacuum(?: cleaners?)?|hoover|robot",
        "zh": "扫地机器人|扫地机|吸尘器|扫地|机器人",
    },
    "humidifier": {"en": r"humidifiers?", "zh": "加湿器"},
    "dehumidifier": {"en": r"dehumidifiers?", "zh": "除湿机|除湿器"},
    "air_purifier": {"en": r"(?:air )?purifiers?|air cleaners?", "zh": "空气净化器|净化器"},
    "kettle": {"en": r"kettles?", "zh": "电水壶|热水壶|烧水壶|水壶"},
    "coffee_machine": {"en": r"(?:coffee|espresso) (?:machines?|makers?)", "zh": "咖啡机"},
    "washing_machine": {"en": r"washing machines?|washers?", "zh": "洗衣机"},
    "sprinkler": {"en": r"sprinklers?|irrigation", "zh": "洒水器|喷灌|浇水系统"},
    "alarm": {"en": r"alarms?(?: system)?|sirens?", "zh": "报警器|警报器|警报"},
}

# What says an action. One whose opposite alone was said is not carried out.
SAYS: Final[dict[str, dict[Language, str]]] = {
    "turn_on": {
        "en": r"on|start\w*|activat\w+|enabl\w+|power up|fire up|launch\w*|boot\w*|run(?:ning)?"
        r"|wake|begin|engage|need|want|use|working",
        "zh": "打开|开启|启动|开始|激活|启用|点亮|运转|接通|通电|开",
    },
    "turn_off": {
        "en": r"off|stop\w*|deactivat\w+|disabl\w+|inactive|shut|kill|halt|cut|end|out|done"
        r"|finished|rest|sleep|enough|disengage\w*|home|dock|back|base|charg\w+",
        "zh": "关掉|关闭|关上|停|切断|断电|关|熄|休息|歇|充电|回去|回充",
    },
    "open": {"en": r"open\w*|up|raise\w*|pull(?:ed)? back|let in", "zh": "打开|拉开|升|敞|开"},
    "close": {"en": r"clos\w+|shut\w*|down|lower\w*|drop|draw(?:n)?|seal\w*", "zh": "关|拉上|合|放下|降"},
    "increase": {
        "en": r"up|more|increas\w+|rais\w+|brighte?n?\w*|lighter|loud\w*|warm\w*|hott?er|high\w*|fast\w*"
        r"|strong\w*|boost|crank|dark|gloomy|quiet|cold|freezing|chilly|open",
        "zh": "亮|高|大|响|热|暖|快|强|增|升|加|提|冷|暗|开",
    },
    "decrease": {
        "en": r"down|less|decreas\w+|lower\w*|reduc\w+|dim\w*|dark\w*|soft\w*|quiet\w*|cool\w*|cold\w*"
        r"|slow\w*|weak\w*|drop|bright|loud|noisy|hot|warm|glare|close",
        "zh": "暗|低|小|轻|凉|冷|慢|弱|减|降|吵|响|亮|热|关|下",
    },
}
OPPOSITE: Final = {
    "turn_on": "turn_off",
    "turn_off": "turn_on",
    "open": "close",
    "close": "open",
    "increase": "decrease",
    "decrease": "increase",
}
ALL: Final[dict[Language, str]] = {
    "en": r"all|every|everywhere|everything|whole|entire|anywhere",
    "zh": "所有|全部|全屋|整个|全家|每个|都",
}
COLORS: Final[dict[str, dict[Language, str]]] = {
    "warm_white": {"en": r"(?:warm|cosy|soft) white", "zh": "暖白|暖光|黄光"},
    "cold_white": {"en": r"(?:cold|cool) white", "zh": "冷白|冷光|白光"},
    "red": {"en": "red", "zh": "红"},
    "green": {"en": "green", "zh": "绿"},
    "blue": {"en": "blue", "zh": "蓝"},
    "yellow": {"en": "yellow", "zh": "黄"},
    "orange": {"en": "orange", "zh": "橙|橘"},
    "purple": {"en": "purple|violet", "zh": "紫"},
    "pink": {"en": "pink", "zh": "粉"},
    "white": {"en": "white", "zh": "白"},
}
# What is asked for: as the model is trained to name it, and what shows in a question that it is meant.
QUANTITIES: Final[dict[str, dict[Language, tuple[str, str]]]] = {
    "temperature": {
        "en": ("temperature", r"temperatures?|degrees|warm\w*|cold\w*|hot\w*|cool\w*|chilly|freezing"),
        "zh": ("温度", "温|度|热|冷|凉|暖"),
    },
    "humidity": {"en": ("humidity", r"humid\w*|damp|moist\w*|dry"), "zh": ("湿度", "湿|干燥")},
    "co2": {"en": ("co2", r"co2|carbon dioxide|air quality|stuffy"), "zh": ("二氧化碳", "二氧化碳|co2")},
    "brightness": {
        "en": ("brightness", r"bright\w*|dark|lux|light level|illuminance"),
        "zh": ("亮度", "亮|暗|光"),
    },
    "power": {
        "en": ("power", r"power|watts?|electricity|draw\w*|consum\w+"),
        "zh": ("功率", "功率|瓦|用电|耗电"),
    },
    "battery": {"en": ("battery", r"batter\w+|charged?"), "zh": ("电量", "电量|电池")},
    "pressure": {"en": ("pressure", r"pressure"), "zh": ("气压", "气压")},
    "noise": {"en": ("noise", r"noise|noisy|loud\w*|quiet\w*|decibels?"), "zh": ("噪音", "噪|吵|声音")},
    "dust": {"en": ("dust", r"dust\w*|pm ?2\.?5|particles|particulates"), "zh": ("粉尘", "尘|pm2.5|颗粒")},
    "window": {"en": ("window", r"windows?|skylights?"), "zh": ("窗户", "窗(?!帘)")},
    "door": {"en": ("door", r"doors?|gates?|locked|unlocked"), "zh": ("门", "门")},
    "light": {"en": ("light", r"lights?|lamps?|lighting"), "zh": ("灯", "灯")},
    "heating": {"en": ("heating", r"heating|heaters?|radiators?|thermostats?"), "zh": ("暖气", "暖气|地暖")},
    "motion": {
        "en": ("motion", r"motion|movement|anybody|anyone|somebody|someone|occupied|empty"),
        "zh": ("人体感应", "人"),
    },
}
# What the model answers to what is neither command nor question for a sensor.
SMALL_TALK: Final = frozenset(
    {
        "Hello! What can I do for you?",
        "Goodbye!",
        "You're welcome.",
        "I am EdgeAssist Tiny, a small language model that runs on this device.",
        "I can control lights, heating, blinds and other devices, and tell you what the sensors say.",
        "你好！有什么可以帮你？",
        "再见！",
        "不客气。",
        "我是EdgeAssist Tiny，一个在本设备上运行的小型语言模型。",
        "我可以控制灯、暖气、窗帘等设备，也可以告诉你传感器的读数。",
    }
)
# What is said where that is the right answer.
GREETING: Final[dict[Language, re.Pattern[str]]] = {
    "en": re.compile(
        r"^(?:hello|hi|hey|good (?:morning|evening|afternoon|day|night)|greetings|thanks?|cheers"
        r"|bye|goodbye|see you)\b"
        r"|\bthank(?:s| you)\b|\bwho are you\b|\bwhat are you\b|\bwhat can you\b|\byour name\b"
    ),
    "zh": re.compile(
        "你好|您好|嗨|哈喽|早上好|早安|晚上好|下午好|晚安|谢|再见|拜拜|你是谁|你是什么|你叫|名字|你能做|你会"
    ),
}
# What the model would take for something else: times, lists, what plays, what is not to happen.
OTHERS: Final[dict[Language, re.Pattern[str]]] = {
    "en": re.compile(
        r"\b(?:seconds?|minutes?|hours?|timers?|o'?clock|tomorrow|yesterday|until|till|when(?:ever)?|after|before"
        r"|if|unless|at \d{1,2}(?::\d\d)|\d{1,2} ?[ap]\.?m\.?|later|remind\w*|list|shopping|scenes?|modes?"
        r"|mute|unmute|pause|resume|unpause|skip|next|previous|play|song|track|channel|announce|broadcast"
        r"|at home|not|don'?t|doesn'?t|never|nobody|no|without|except|but|instead|weather|forecast"
        r"|arm|disarm|who(?:'s)? (?:is )?home)\b"
    ),
    "zh": re.compile(
        "分钟|小时|秒|点钟|点半|定时|计时|闹钟|明天|昨天|以后|之后|后天|等一|如果|当|提醒|清单|购物|场景|模式|静音|暂停"
        "|继续播放|播放|下一|上一|换台|频道|广播|不要|不用|不许|别|除了|但|天气|预报|布防|撤防|几点|星期|在家"
    ),
}
QUESTION: Final[dict[Language, re.Pattern[str]]] = {
    "en": re.compile(
        r"^(?:hey,? |so,? |and |please |ok,? )?(?:what|how|which|is|are|was|does|did|has|tell me|do you know"
        r"|can you tell|could you tell|i wonder|give me the|check|any)\b|\b(?:temperature|humidity|level)\?*$"
    ),
    "zh": re.compile(
        r"吗|多少|几度|几|(\w)不\1|怎么样|是不是|有没有|什么|如何|没有$|了没|多高|多亮|多热|还是|查一下|告诉我|呢$"
    ),
}
# A command that is put as a question.
POLITE: Final[dict[Language, re.Pattern[str]]] = {
    "en": re.compile(r"^(?:hey,? |please |ok,? )?(?:can|could|would|will) you\b"),
    "zh": re.compile("^(?:能不能|可不可以|可以|能)|(?:好吗|行吗|可以吗)$"),
}
# What may stand in a command beside devices, places and values. Another word may change what it means.
_KNOWN_EN: Final = frozenset(
    """
    a about activate activated adjust again ahead air all already alright also am an and apartment
    are as at away back back's base be bedtime been being bit boost bright brighten brighter
    brightest brightness bring by can celsius change changed charge charging choose clean cleaning
    close closed closing cold color colour come completely cool cooler cosy could crank cut dark
    darken darker darkest deactivate deactivated dear decrease degree degrees dial dim dimmed dimmer
    disable disabled dock done down draw drawn drop edgeassist eight eighteen eighty eleven enable
    enabled end enough entire entirely every everyone everything everywhere exactly fast faster feel
    fifteen fifty finished fire five fix flat flip for forty four fourteen from full fully gently
    get gets give go going gonna got guys half halfway hand hard have he heat hello her here hey hi
    higher highest him his hold home hot hotter house how humidity hundred i i'd i'll i'm in
    increase inside is it it's its just keep kill kindly launch launched leave leaving less let
    let's lets level lighter like little live lot loud louder low lower lowest make many max maximum
    me medium middle min minimum more move much must my need needs nice nicely night nine nineteen
    ninety now of off ok okay on one open opened our out over paint part percent percentage pick
    place please position power pull pulled put quarter quick quickly quiet quieter raise really
    reduce rest return returns right roll room rooms run running send set seven seventeen seventy
    shall she should shut six sixteen sixty sleep slide slightly slow slower so soft softer softly
    some soon speed spin start started starting stay still stop stopped stopping strong stronger
    sure switch switched tad take tell temperature ten than thank thanks that the their there these
    they thing things third thirteen thirty this those tight to today tonight too turn turned
    turning twelve twenty two up us use using volume wanna want warm warmer water way we we're weak
    weaker well were what which while white whole wide will with work working would yes you you're
    your zero
    """.split()  # noqa: SIM905 - as a list it would be 300 lines
)
_KNOWN_ZH: Final = frozenset(
    "一七三上下两个中为之九了二于五些亮他以们休位低住作你使便保值停充先光全八六关内再冷凉减出分切刚到制刻"
    "力加动助十升半去变叫可合吗吧启吵呀和响哦啊啦嗯嘛四回固在地增声处大太头她好始嫌它安定室家将小少就屋工"
    "己已希帮床应度开弄弱强往得忙快态息您想慢成我房所手打扫把拉持换掉接控提摄收改放敞数整断旁是暖暗更最有"
    "望机来标桌橘橙歇止每氏洁活清温湿激点烦热状现用电白百的目着空立等粉紫红终经给继续维绿置能自至色节蓝行"
    "要解让设该请调谢起转轻边达运这通速那部都里量锁闭间降零需静面音顺颜风马高麻黄"
)


def find(pattern: str, text: str, language: Language) -> list[str]:
    """Return the words of a pattern in a text, in lower case, as whole words where the language has words."""
    marked = rf"\b(?:{pattern})\b" if language == "en" else f"(?:{pattern})"
    return [found.group() for found in re.finditer(marked, text)]


def asked_for(text: str, language: Language) -> set[str]:
    """Return the quantities that the words of a question speak of."""
    return {name for name, called in QUANTITIES.items() if find(called[language][1], text, language)}


def devices(text: str, language: Language) -> set[str]:
    """Return the devices that the words speak of."""
    return {name for name, called in DEVICES.items() if find(called[language], text, language)}


def unknown(text: str, language: Language) -> list[str]:
    """Return what of a command is neither a device nor a word that commands are made of."""
    for words in DEVICES.values():
        text = re.sub(rf"\b(?:{words['en']})\b" if language == "en" else words["zh"], " ", text)
    for words in COLORS.values():
        text = re.sub(rf"\b(?:{words['en']})\b" if language == "en" else words["zh"], " ", text)
    if language == "zh":
        return [sign for sign in HAN.findall(text) if sign not in _KNOWN_ZH] + re.findall(r"[a-z]{2,}", text)
    return [word for word in re.findall(r"[a-z][a-z']*", text) if word not in _KNOWN_EN]
