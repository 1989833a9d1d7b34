"""Ad-hoc reads: a logical plan run over snapshots of the serving store."""

from laminar.sql.adhoc.execute import Limits, Sources, Statistics
from laminar.sql.adhoc.run import run, run_sync, waits

__all__ = ["Limits", "Sources", "Statistics", "run", "run_sync", "waits"]
