"""Package sizes become weights: the labels are real ones, with all their ways of writing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.demo.sizes import GRAMS, WEIGHT_GRAMS_MAX, weight_grams

LABELS = [
    ("16 OZ", 454),
    (".5 OZ", 14),
    ("1 LB", 454),
    ("3.5 LB", 1588),
    ("2 LB 3 OZ", 992),
    ("750 ML", 750),
    ("1.5 L", 1500),
    ("2 L*", 2000),
    ("100 G", 100),
    ("PT", 473),
    ("1 QT", 946),
    ("GAL", 3785),
    ("1/2 GAL", 1893),
    ("HALF GAL", 1893),
    ("10 3/4 OZ", 305),
    ("7-3/4 OZ", 220),
    ("3/4 OZ", 21),
    ("12 PK/12 OZ", 4082),
    ("6 P/16.9 OZ", 2875),
    ("12 OZ/12 PK", 4082),
    ("144 OZ/12 PK", 4082),
    ("6/12 OZ", 2041),
    ("10-6.75 OZ", 1914),
    ("2 - 7.5 OZ", 425),
    ("6/.5 L", 3000),
    ("6 CT/15 OZ", 425),
    ("41-50/16 OZ", 454),
    ("18-22 LB", 9072),
    ("L    16 OZ", 454),
    ("22515 32 OZ", 907),
    ("5.5 OZ 0146", 156),
    ("10 LB BAG", 4536),
    ("8 FL OZ", 227),
]

SILENT = ["", "12 CT", "300 CT(1)", "18 IN", "CTN", "2 PK", "70 SQ FT", "10 STEM", "LARGE", "KIT"]


@pytest.mark.parametrize(("label", "grams"), LABELS)
def test_a_label_tells_its_weight(*, label: str, grams: int) -> None:
    """Each stands for a form that hundreds of products use, or that was once read wrongly."""
    assert weight_grams(label) == grams


@pytest.mark.parametrize("label", SILENT)
def test_a_label_without_weight_says_nothing(label: str) -> None:
    """A count or a length guessed into grams would be an invented number."""
    assert weight_grams(label) is None


def test_an_unbelievable_weight_is_not_believed() -> None:
    """An onion of 40 pounds is the sack it came in."""
    assert weight_grams("60-90 LB") is None
    assert weight_grams("40 LB", grams_max=5_000) is None
    assert weight_grams("0 OZ") is None


@given(
    amount=st.integers(min_value=1, max_value=400),
    unit=st.sampled_from(sorted(GRAMS)),
    before=st.sampled_from(["", "L ", "EX  "]),
    after=st.sampled_from(["", " BTL", " CAN"]),
)
def test_words_around_an_amount_do_not_change_it(
    *, amount: int, unit: str, before: str, after: str
) -> None:
    """Grades and containers stand beside many amounts."""
    expected = round(amount * GRAMS[unit])
    found = weight_grams(f"{before}{amount} {unit}{after}")
    assert found == (expected if expected <= WEIGHT_GRAMS_MAX else None)


@given(
    packs=st.integers(min_value=2, max_value=36), tenths=st.integers(min_value=10, max_value=200)
)
def test_a_pack_weighs_as_much_as_its_pieces(*, packs: int, tenths: int) -> None:
    """The two ways of writing a pack must agree, or one of them is read wrongly."""
    ounces = f"{tenths / 10:g}"
    whole = packs * float(ounces) * GRAMS["OZ"]
    expected = round(whole) if whole <= WEIGHT_GRAMS_MAX else None
    assert weight_grams(f"{packs} PK/{ounces} OZ") == expected
    assert weight_grams(f"{packs}/{ounces} OZ") == expected


@given(st.text(alphabet="0123456789./-() OZLBCTPKGAMQ", max_size=14))
def test_no_label_breaks_the_reader(label: str) -> None:
    """68,509 products are labeled by hand."""
    found = weight_grams(label)
    assert found is None or 1 <= found <= WEIGHT_GRAMS_MAX
