#!/usr/bin/env bash
# PostgreSQL 15 is what the tests hold Laminar's answers against, psqlODBC one of the clients. Installs them
# with apt-get when they are missing and we are root; otherwise says what to do. Any release of PostgreSQL
# from 15 on serves, 15 is preferred.
set -euo pipefail

postgres() { [[ -n "${LAMINAR_PG_BIN:-}" ]] || compgen -G '/usr/lib/postgresql/1[5-9]/bin/postgres' >/dev/null; }
odbc() { compgen -G '/usr/lib/*/odbc/psqlodbcw.so' >/dev/null; }
able() { [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; }

if postgres && odbc; then
    exit 0
fi
if able; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
fi
if ! odbc; then
    if able; then
        apt-get install -y -q --no-install-recommends odbc-postgresql unixodbc
    else
        echo "psqlODBC (odbc-postgresql) is not installed: its test is skipped." >&2
    fi
fi
if postgres; then
    exit 0
fi
if ! able; then
    echo "PostgreSQL 15 is not installed: tests that compare with it will fail." >&2
    echo "Install it (apt-get install postgresql-15) or set LAMINAR_PG_BIN to the folder with initdb and postgres." >&2
    exit 0
fi
for version in 15 16 17 18; do
    if apt-cache show "postgresql-$version" >/dev/null 2>&1; then
        # No cluster of its own: the tests start theirs.
        mkdir -p /etc/postgresql-common
        [[ -e /etc/postgresql-common/createcluster.conf ]] ||
            echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
        apt-get install -y -q --no-install-recommends "postgresql-$version"
        exit 0
    fi
done
echo "No PostgreSQL from 15 on in the package sources." >&2
exit 1
