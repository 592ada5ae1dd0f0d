"""Places in the tree: found by path or code, made with all that is above them."""

from __future__ import annotations

from streamwatch.inventory.tree import NewRegion, Tree, code_of
from streamwatch.model.inventory import Region

KNOWN = [Region(1, "990101", "青河县", None), Region(2, "r-x", "青河县/双河镇", 1)]


def test_a_known_region_is_found_by_path_or_code() -> None:
    """Nothing is made for it."""
    tree = Tree(KNOWN)

    assert [tree.find(text) for text in ("青河县", "990101", "青河县/双河镇", "r-x")] == [1, 1, 2, 2]
    assert tree.missing == []


def test_a_missing_path_is_made_from_where_it_leaves_the_tree() -> None:
    """Parents first, each once, with a code that is the same on every machine."""
    tree = Tree(KNOWN)

    first, again, other = tree.find("青河县/新镇/东片"), tree.find("青河县/新镇/东片"), tree.find("青河县/新镇/西片")

    assert first == again != other
    assert tree.needed([first, other]) == [
        NewRegion(-1, code_of("青河县/新镇"), "青河县/新镇", 1),
        NewRegion(-2, code_of("青河县/新镇/东片"), "青河县/新镇/东片", -1),
        NewRegion(-3, code_of("青河县/新镇/西片"), "青河县/新镇/西片", -1),
    ]
    assert code_of("青河县/新镇") == "r-3059d1898a2c"


def test_only_used_regions_are_made() -> None:
    """A refused village leaves no empty town behind."""
    tree = Tree([])
    tree.find("a/b")
    used = tree.find("a/c")

    assert [region.name for region in tree.needed([used, 7])] == ["a", "a/c"]


def test_an_administrative_code_becomes_the_code() -> None:
    """A list that gives codes gets regions with these codes."""
    tree = Tree([])
    tree.find("440101")

    assert tree.missing == [NewRegion(-1, "440101", "440101", None)]


def test_a_renamed_region_does_not_clash_with_its_old_path() -> None:
    """The code made from the path is still in use; the new region gets another one."""
    tree = Tree([Region(1, code_of("旧镇"), "新镇", None)])
    tree.find("旧镇")

    assert [region.code for region in tree.missing] == [code_of("旧镇") + "-2"]
