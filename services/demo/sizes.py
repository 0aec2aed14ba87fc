"""Weights from the package sizes on a grocer's labels, such as `12 PK/12 OZ` or `1/2 GAL`."""

import re

GRAMS = {
    "OZ": 28.35,
    "Z": 28.35,
    "LB": 453.59,
    "G": 1.0,
    "GM": 1.0,
    "KG": 1000.0,
    "ML": 1.0,
    "L": 1000.0,
    "LT": 1000.0,
    "PT": 473.18,
    "QT": 946.35,
    "GA": 3785.41,
    "GAL": 3785.41,
}
"""Grams of one unit; what is sold by volume here is mostly water, so a milliliter is a gram."""

WEIGHT_GRAMS_MIN = 1
WEIGHT_GRAMS_MAX = 25_000
"""A label that says more speaks of something else, such as the case a piece was cut from."""

WHOLE_PACK_GRAMS_MIN = 1_800
"""`144 OZ/12 PK` is the weight of the whole pack, `12 OZ/12 PK` that of one can."""

NUMBER = r"(?<![\d./-])(\d*\.?\d+)"
UNIT = r"(?:FL )?(OZ|Z|LB|GM|GAL|GA|G|KG|ML|LT|L|PT|QT)(?![A-Z])"

POUNDS_AND_OUNCES = re.compile(rf"{NUMBER} LB (\d*\.?\d+) OZ")
POUNDS_RANGE = re.compile(rf"{NUMBER}-(\d*\.?\d+) LB")
PACK_THEN_AMOUNT = re.compile(rf"{NUMBER} ?(?:PK|P)[ /-]+(\d*\.?\d+) ?{UNIT}")
AMOUNT_THEN_PACK = re.compile(rf"{NUMBER} ?{UNIT}[ /-]+(\d+) ?PK")
FRACTION = re.compile(rf"(?<![\d./-])(?:(\d+)[ -])?(1|3|5|7)/(2|3|4|8) ?{UNIT}")
COUNT_THEN_AMOUNT = re.compile(rf"(?<![\d.-])(\d{{1,2}}) ?[/-] ?(\d*\.?\d+) ?{UNIT}")
AMOUNT = re.compile(rf"(\d*\.?\d+) ?{UNIT}")
LONE_UNIT = re.compile(r"(GAL|GA|QT|PT|LB|L)")


def weight_grams(size: str, *, grams_max: int = WEIGHT_GRAMS_MAX) -> int | None:
    """Return the weight of one package in grams, or None where the label does not tell it.

    A count (`12 CT`), a length (`18 IN`) or a shape (`CTN`) says nothing about weight. Where a label
    gives a count and an amount, the amount is of the whole package (`6 CT/15 OZ`) unless the count
    is of packs or stands bare before a slash (`12 PK/12 OZ`, `6/12 OZ`). A weight above `grams_max`
    is not believed.
    """
    grams = grams_of(" ".join(size.upper().replace("HALF GAL", "1/2 GAL").split()))
    if grams is None or not WEIGHT_GRAMS_MIN <= grams <= grams_max:
        return None
    return round(grams)


def grams_of(label: str) -> float | None:
    """Return the grams a cleaned label speaks of, by the first form that fits, or None."""
    if found := POUNDS_AND_OUNCES.search(label):
        return float(found[1]) * GRAMS["LB"] + float(found[2]) * GRAMS["OZ"]
    if (found := POUNDS_RANGE.search(label)) and float(found[1]) < float(found[2]):
        return (float(found[1]) + float(found[2])) / 2 * GRAMS["LB"]
    if found := PACK_THEN_AMOUNT.search(label):
        return float(found[1]) * float(found[2]) * GRAMS[found[3]]
    if found := AMOUNT_THEN_PACK.search(label):
        amount = float(found[1]) * GRAMS[found[2]]
        return amount if amount >= WHOLE_PACK_GRAMS_MIN else amount * float(found[3])
    return grams_of_plain(label)


def grams_of_plain(label: str) -> float | None:
    """Return the grams of a label without the word pack: fractions, counts, one amount, one unit."""
    if (found := FRACTION.search(label)) and (found[1] or found[2] == "1" or found[3] == "4"):
        amount = float(found[1] or 0) + float(found[2]) / float(found[3])
        return amount * GRAMS[found[4]]
    if found := COUNT_THEN_AMOUNT.search(label):
        return float(found[1]) * float(found[2]) * GRAMS[found[3]]
    if found := AMOUNT.search(label):
        return float(found[1]) * GRAMS[found[2]]
    if found := LONE_UNIT.fullmatch(label):
        return GRAMS[found[1]]
    return None
