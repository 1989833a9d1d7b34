"""What a start can take up of the newest checkpoint, and what it must compute anew."""

from __future__ import annotations

import pyarrow.compute as pc

from laminar import logging
from laminar.engine.deliveries import interval
from laminar.engine.manifest import Manifest
from laminar.engine.relations import ROW_ID, DataflowSpec, RelationSpec
from laminar.engine.state import EngineState
from laminar.errors import OBJECT_NOT_IN_PREREQUISITE_STATE, PgError

log = logging.get(__name__)


def take_up(state: EngineState, wanted: dict[int, DataflowSpec], next_oid: int | None) -> None:
    """Fill dataflows and the serving store from the checkpoint; 55000 when rows would be lost.

    Args:
        wanted: dataflows that the catalog has.
        next_oid: see ``Coordinator.start``.
    """
    manifest = state.checkpoints.manifest
    _refuse_doubling(state, manifest, wanted)
    state.left = dict(manifest.left)
    state.dataflows = _usable(state, manifest, wanted)
    for old in manifest.relations:
        state.known.setdefault(old.oid, old)
    # A checkpoint also has rows of dataflows that were being installed or removed.
    void = {oid for flow in wanted.values() if flow.id not in state.dataflows for oid in flow.outputs}
    void |= {*manifest.filling}
    if next_oid is not None:
        void |= {oid for flow in manifest.dataflows if flow.id >= next_oid for oid in flow.outputs}
    kept = [oid for oid, spec in state.relations.items() if _is_whole(state, spec) and oid not in void]
    stored = {oid: files for oid, files in manifest.stored.items() if oid in kept}
    state.store.restore(state.data_dir / "store", stored, manifest.epoch, manifest.now)
    _refuse_loss(state, manifest)
    state.rows.row_ids = dict(manifest.row_ids)


def _usable(
    state: EngineState, manifest: Manifest, wanted: dict[int, DataflowSpec]
) -> dict[int, DataflowSpec]:
    """Dataflows whose state in the checkpoint can be taken up.

    Not those whose plan has changed, nor what reads them; none when the number of reactors has,
    since state is divided among them. Such views are computed anew from their inputs, up to where
    these are now: sources keep their positions, and a view that comes later reads their past.
    A view that was dropped after the checkpoint still takes part in the replay, so that sources
    are read as they were; it goes afterwards.
    """
    found: dict[int, DataflowSpec] = {}
    if manifest.reactors != state.config.reactors:
        if manifest.dataflows:
            log.warning("views are computed anew", reactors=state.config.reactors, before=manifest.reactors)
        manifest.states = []
        return found
    void: set[int] = set()
    for spec in manifest.dataflows:
        current = wanted.get(spec.id, spec)
        if current.fingerprint != spec.fingerprint or void.intersection(spec.inputs):
            log.warning("a view is computed anew: its plan has changed", view=spec.id)
            if interval(spec) is not None:
                other = current.fingerprint != spec.fingerprint
                state.left[spec.id] = (
                    "this version plans it in another way"
                    if other
                    else "a view that it reads is computed anew"
                )
            void |= {spec.id, *spec.outputs}
        else:
            found[spec.id] = current
    return found


def _is_whole(state: EngineState, spec: RelationSpec) -> bool:
    """Whether a relation's stored rows are worth anything: a view's only with its dataflow's state."""
    computed = spec.kind == "view" and not spec.paused
    return spec.oid in state.store and (not computed or spec.oid in state.dataflows)


def _refuse_doubling(state: EngineState, manifest: Manifest, wanted: dict[int, DataflowSpec]) -> None:
    """55000 when another number of reactors would make sinks outside deliver everything once more.

    What a sink has delivered is the position of its computation, which is divided among the reactors.
    """
    if manifest.reactors == state.config.reactors:
        return
    sinks = sum(interval(flow) is not None and flow.id in wanted for flow in manifest.dataflows)
    if sinks:
        raise PgError(
            OBJECT_NOT_IN_PREREQUISITE_STATE,
            f"the number of reactors cannot change from {manifest.reactors} to {state.config.reactors}"
            " while there are sinks outside",
            detail=f"{sinks} of them would deliver everything once more.",
            hint=f"Start with {manifest.reactors} reactors and drop them first (DROP SINK delivers what was"
            " accepted before it).",
        )


def _refuse_loss(state: EngineState, manifest: Manifest) -> None:
    """55000 when another number of reactors would cost views rows that their source has no more."""
    if manifest.reactors == state.config.reactors:
        return
    for oid in {i for flow in manifest.dataflows for i in flow.inputs}:
        spec = state.relations.get(oid)
        if spec is not None and spec.kind == "source" and spec.key is None and forgotten(state, spec):
            raise PgError(
                OBJECT_NOT_IN_PREREQUISITE_STATE,
                f"the number of reactors cannot change from {manifest.reactors} to {state.config.reactors}",
                detail=f'Views would be computed anew, but source "{spec.name}" no longer has all the'
                " rows that they were computed from.",
                hint=f"Start with {manifest.reactors} reactors, or drop the views that read it first.",
            )


def forgotten(state: EngineState, source: RelationSpec) -> bool:
    """Whether the oldest rows of a push source have been dropped by its retention."""
    batches = state.store.read().snapshot(source.oid).batches((ROW_ID,))
    first = next((pc.min(batch.column(0)).as_py() for batch in batches if batch.num_rows), None)
    return (state.checkpoints.manifest.row_ids.get(source.oid, 0) if first is None else first) > 0
