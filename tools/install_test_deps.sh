#!/usr/bin/env bash
# PostgreSQL 15 is what the tests hold Laminar's answers against. Installs it with apt-get when it is
# missing and we are root; otherwise says what to do. Any release from 15 on serves, 15 is preferred.
set -euo pipefail

found() { compgen -G '/usr/lib/postgresql/1[5-9]/bin/postgres' >/dev/null; }

if [[ -n "${LAMINAR_PG_BIN:-}" ]] || found; then
    exit 0
fi
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "PostgreSQL 15 is not installed: tests that compare with it will fail." >&2
    echo "Install it (apt-get install postgresql-15) or set LAMINAR_PG_BIN to the folder with initdb and postgres." >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
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
