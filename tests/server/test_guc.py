"""Settings: PostgreSQL's names, values and refusals."""

from __future__ import annotations

import pytest

from laminar.errors import PgError
from laminar.server import guc


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("timezone", "europe/berlin", "Europe/Berlin"),
        ("TimeZone", "UTC", "UTC"),
        ("datestyle", "German", "German, MDY"),
        ("DateStyle", "dmy", "ISO, DMY"),
        ("statement_timeout", "1500", "1500ms"),
        ("statement_timeout", "2min", "2min"),
        ("statement_timeout", "120s", "2min"),
        ("statement_timeout", "0", "0"),
        ("read_your_writes", "TRUE", "on"),
        ("read_your_writes", "f", "off"),
        ("extra_float_digits", " 3 ", "3"),
        ("client_encoding", "utf-8", "UTF8"),
    ],
)
def test_values_are_normalised(name: str, value: str, shown: str) -> None:
    setting = guc.find(name)
    assert setting.check(value) == shown


@pytest.mark.parametrize(
    ("name", "value", "sqlstate"),
    [
        ("timezone", "Mars/Olympus", "22023"),
        ("datestyle", "chinese", "22023"),
        ("statement_timeout", "soon", "22023"),
        ("statement_timeout", "-1", "22023"),
        ("read_your_writes", "maybe", "22023"),
        ("extra_float_digits", "4", "22023"),
        ("bytea_output", "base64", "22023"),
        ("client_encoding", "latin1", "0A000"),
        ("server_version", "16", "55P02"),
    ],
)
def test_bad_values_are_refused(name: str, value: str, sqlstate: str) -> None:
    setting = guc.find(name)
    with pytest.raises(PgError) as caught:
        setting.check(value)
    assert caught.value.sqlstate == sqlstate


def test_unknown_settings() -> None:
    with pytest.raises(PgError) as caught:
        guc.find("no_such_thing")
    assert caught.value.sqlstate == "42704"
    assert caught.value.message == 'unrecognized configuration parameter "no_such_thing"'


def test_postgresql_settings_that_would_change_meaning_keep_their_default() -> None:
    setting = guc.find("array_nulls")
    assert setting.check("true") == "on"
    with pytest.raises(PgError) as caught:
        setting.check("off")
    assert caught.value.sqlstate == "0A000"


def test_work_mem_is_bounded_by_the_servers() -> None:
    values = guc.defaults(guc.server_defaults(512 << 20, 7))
    assert (values["work_mem"], values["max_connections"]) == ("512MB", "7")
    assert guc.work_mem(values) == 512 << 20
    guc.check_work_mem(values, "512MB")
    with pytest.raises(PgError) as caught:
        guc.check_work_mem(values, "1GB")
    assert caught.value.sqlstate == "22023"


def test_some_settings_are_the_superusers() -> None:
    setting = guc.find("log_statement")
    guc.check_changeable(setting, superuser=True)
    with pytest.raises(PgError) as caught:
        guc.check_changeable(setting, superuser=False)
    assert caught.value.sqlstate == "42501"


def test_what_was_never_set_has_its_default() -> None:
    values = guc.defaults()
    assert values["enable_seqscan"] == "on"
    values["enable_seqscan"] = "off"
    assert guc.resettable(values)["enable_seqscan"] == "on"


def test_search_path() -> None:
    assert guc.split_path('"$user", public', "ann") == ("ann", "public")
    assert guc.split_path('A, "B c"', "ann") == ("a", "B c")
