import pytest

from cloud_trainer.database import connect
from cloud_trainer.fleet.organisations import check_name, create_organisation, only_organisation, organisations
from firmware_bridge.errors import ConflictError, NotFoundError, SettingError


@pytest.mark.parametrize("name", ["a", "shop-1", "9", "x" * 63])
def test_what_can_be_a_name_is_one(name: str) -> None:
    assert check_name("--site", name) == name


@pytest.mark.parametrize("name", ["", "-a", "A", "a b", "a\n", "x" * 64, "é", "a/b", "a\0"])
def test_what_cannot_be_a_name_is_told_why(name: str) -> None:
    with pytest.raises(SettingError, match=r"--site = .*is no name; use small letters"):
        check_name("--site", name)


@pytest.mark.slow
@pytest.mark.pg
class TestInADatabase:
    def test_the_first_one_is_there_from_the_start_and_need_not_be_named(self, dsn: str) -> None:
        with connect(dsn) as connection:
            assert only_organisation(connection, None) == "default"

    def test_of_several_one_must_be_named_and_be_there(self, dsn: str) -> None:
        with connect(dsn) as connection:
            create_organisation(connection, "ours", "Ours & Sons")
            assert only_organisation(connection, "ours") == "ours"
            with pytest.raises(SettingError, match="known are default, ours"):
                only_organisation(connection, None)
            with pytest.raises(NotFoundError, match="theirs"):
                only_organisation(connection, "theirs")
            assert [(one.organisation, one.name, one.sites, one.gateways) for one in organisations(connection)] == [
                ("default", "default", 1, 0), ("ours", "Ours & Sons", 0, 0),
            ]  # fmt: skip

    def test_none_is_made_twice_or_with_a_name_that_cannot_be(self, dsn: str) -> None:
        with connect(dsn) as connection:
            with pytest.raises(ConflictError, match="is there already"):
                create_organisation(connection, "default", "again")
            with pytest.raises(SettingError, match="is no name"):
                create_organisation(connection, "Ours", "Ours")
            with pytest.raises(SettingError, match="one line"):
                create_organisation(connection, "ours", "a\nb")
