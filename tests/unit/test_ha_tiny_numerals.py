import pytest

from custom_components.edgeassist.tiny.numerals import in_figures


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("dim the light to twenty five percent", "dim the light to 25 percent"),
        ("set it to twenty-one point five degrees", "set it to 21.5 degrees"),
        ("by one degree", "by 1 degree"),
        ("turn the one on the left on", "turn the one on the left on"),
        ("volume to seven", "volume to 7"),
        ("a hundred percent", "100 percent"),
        ("someone in seventeen", "someone in 17"),
        ("百分之三十", "30%"),
        ("百分之45", "45%"),
        ("调到二十一度", "调到21度"),
        ("十九度半", "19.5度"),
        ("一百%", "100%"),
        ("亮一点", "亮一点"),
        ("三楼的灯", "三楼的灯"),
    ],
)
def test_numbers_in_words_become_figures(said: str, written: str) -> None:
    assert in_figures(said) == written
