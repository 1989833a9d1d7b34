"""The PostgreSQL that tests compare with is a real one, freshly made."""

from tests.harness.postgres import Postgres


def test_answers(postgres: Postgres) -> None:
    with postgres.connect() as connection:
        version = connection.execute("SHOW server_version_num").fetchone()
        assert version is not None and int(version[0]) >= 150000
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)
