"""Rooms that are called alike in other languages: 厨房 finds the area Kitchen, and "kitchen" the area Küche.

Imports nothing of Home Assistant.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

_ROOMS = """
kitchen|厨房|küche
living room|lounge|sitting room|front room|客厅|起居室|wohnzimmer
bedroom|卧室|睡房|房间|schlafzimmer
master bedroom|main bedroom|主卧|主卧室|elternschlafzimmer
guest room|guest bedroom|spare room|客房|gästezimmer
bathroom|浴室|卫生间|洗手间|badezimmer|bad
master bathroom|ensuite|主卫
guest bathroom|客卫|gästebad
toilet|wc|restroom|厕所|卫生间|洗手间|toilette|gäste-wc
nursery|baby room|婴儿房|babyzimmer
kids room|kids' room|children's room|kid's room|儿童房|小孩房|kinderzimmer
office|home office|办公室|büro
study|书房|arbeitszimmer
dining room|餐厅|饭厅|esszimmer
hallway|corridor|走廊|过道|flur|diele
entrance|entry|entryway|foyer|玄关|门厅|入口|eingang
garage|车库
basement|cellar|地下室|keller
attic|loft|阁楼|dachboden
laundry room|laundry|utility room|洗衣房|洗衣间|waschküche|hauswirtschaftsraum
storage room|storeroom|储藏室|储物间|杂物间|abstellraum
pantry|食品储藏室|speisekammer
garden|backyard|back yard|yard|花园|院子|后院|garten
front yard|前院|vorgarten
terrace|patio|露台|terrasse
balcony|阳台|balkon
porch|veranda|门廊
driveway|车道|einfahrt
workshop|工作间|werkstatt
gym|健身房|fitnessraum
library|图书室|bibliothek
playroom|游戏室|spielzimmer
closet|dressing room|wardrobe|衣帽间|ankleide
conservatory|sunroom|winter garden|阳光房|wintergarten
greenhouse|温室|gewächshaus
shed|工具房|schuppen
stairs|staircase|stairwell|楼梯|楼梯间|treppenhaus
cinema|media room|home theater|影音室|heimkino
ground floor|一楼|erdgeschoss
first floor|upstairs|二楼|楼上|obergeschoss
outside|outdoors|室外|户外|外面|außen|draußen
"""
_GROUPS = tuple(frozenset(line.split("|")) for line in _ROOMS.strip().splitlines())


def translations(*names: str) -> AbstractSet[str]:
    """Return what else a room of these names is called, in lower case, without the names themselves."""
    known = {name.strip().casefold() for name in names}
    return {other for group in _GROUPS if group & known for other in group} - known
