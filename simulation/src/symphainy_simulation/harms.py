"""What goes wrong in a run: each fault of a plan, carried out; and healing everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from symphainy_schemas.codec import decode
from symphainy_schemas.events import JournalRecord, follows
from symphainy_simulation.actors.owner import OwnerProcess
from symphainy_simulation.actors.worker import WorkerProcess
from symphainy_simulation.plan import Fault, Harm, Scenario
from symphainy_simulation.world.events import MS
from symphainy_simulation.world.group import Group
from symphainy_simulation.world.process import Process
from symphainy_simulation.world.producing import Fate, Ordained
from symphainy_simulation.world.state_topic import StatePartition
from symphainy_simulation.world.universe import Universe
from symphainy_transport.topics import INTENTS, JOURNAL, STEPS

RETENTION = 0.9  # of what may go, goes


class Stage(Protocol):
    """Who and what there is to harm."""

    universe: Universe
    scenario: Scenario
    owners: list[OwnerProcess]
    workers: list[WorkerProcess]
    owners_group: Group
    state: dict[int, StatePartition]

    def expire_records(self, partition: int, share: float) -> None:
        """Let retention take what it may."""
        ...


class Harms:
    """Carries out a plan's faults."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._universe = stage.universe
        self._events = stage.universe.events
        self._healed = False
        self._how: Mapping[Harm, Callable[[Fault], None]] = {
            Harm.KILL_OWNER: self._kill_owner,
            Harm.PAUSE_OWNER: self._pause_owner,
            Harm.STOP_OWNER: self._stop_owner,
            Harm.CUT_OWNER: lambda f: self._cut(self._owner(f).process, f),
            Harm.PREEMPT: self._preempt,
            Harm.EXPIRE_OWNER: lambda f: stage.owners_group.expire(self._owner(f).process.name),
            Harm.SHUFFLE_OWNERS: lambda f: self._shuffle(stage.owners_group),
            Harm.OUTAGE: self._outage,
            Harm.APPEND: lambda f: self._ordain(self._owner(f).ordained, JOURNAL, f),
            Harm.SEND: lambda f: self._ordain(self._owner(f).ordained, "tasks.work", f),
            Harm.STORE: self._store,
            Harm.STATE: self._state,
            Harm.CLOCK: self._clock,
            Harm.SLOW: self._slow,
            Harm.RETENTION: self._retention,
            Harm.COMPACT: self._compact,
            Harm.KILL_WORKER: self._kill_worker,
            Harm.PAUSE_WORKER: self._pause_worker,
            Harm.STOP_WORKER: self._stop_worker,
            Harm.CUT_WORKER: lambda f: self._cut(self._worker(f).process, f),
            Harm.EXPIRE_WORKER: self._expire_worker,
            Harm.SHUFFLE_WORKERS: lambda f: self._shuffle(self._worker(f).realm.group),
            Harm.REPORT: lambda f: self._ordain(self._worker(f).ordained, STEPS, f),
            Harm.INTENT: lambda f: self._ordain(self._owner(f).ordained, INTENTS, f),
            Harm.FOLLOW: self._lose_what_follows,
            Harm.CONFIG: self._late_config,
        }

    def arrange(self, faults: tuple[Fault, ...]) -> None:
        """Let each happen in its time."""
        for fault in faults:
            self._events.at(fault.at_ms * MS, lambda fault=fault: self._how[fault.harm](fault))  # type: ignore[misc]

    def heal(self) -> None:
        """Nothing goes wrong any more, and what did is over."""
        self._healed = True
        universe = self._universe
        universe.tell("everything is healed")
        universe.network.up = True
        for process in self._processes():
            process.slow = 1
            process.clock.ahead_ms = max(
                -self._stage.scenario.skew_ms // 2,
                min(self._stage.scenario.skew_ms // 2, process.clock.ahead_ms),
            )
            if process.cut:
                process.cut_off(False)
            if process.frozen:
                process.resume()
        for owner in self._stage.owners:
            owner.disarm()
            owner.late_config.until = 0
            owner.ordained.clear()
            owner.disk.broken_in = None
            owner.state_faults.slow_us, owner.state_faults.failing = 0, []
            owner.start()
        for worker in self._stage.workers:
            worker.ordained.clear()
            worker.start()
        universe.network.changed()

    def _processes(self) -> list[Process]:
        stage = self._stage
        return [o.process for o in stage.owners] + [w.process for w in stage.workers]

    # --- who ------------------------------------------------------------------------------------

    def _owner(self, fault: Fault) -> OwnerProcess:
        return self._stage.owners[fault.target % len(self._stage.owners)]

    def _worker(self, fault: Fault) -> WorkerProcess:
        return self._stage.workers[fault.target % len(self._stage.workers)]

    def _later(self, ms: int, what: Callable[[], None]) -> None:
        """Unless all is healed by then."""
        self._events.after(ms * MS, lambda: None if self._healed else what())

    # --- owners ---------------------------------------------------------------------------------

    def _kill_owner(self, fault: Fault) -> None:
        owner = self._owner(fault)

        def die() -> None:
            late_us = int(fault.share * 900 * MS)
            how = "is killed" if fault.variant == "kept" else f"dies, its disk is {fault.variant}"
            owner.kill(how, late_us)
            owner.note_disk()
            self._harm_disk(owner, fault.variant)
            self._events.after(fault.ms * MS, owner.start)

        if owner.process.alive:
            owner.arm(fault.calls, die)

    def _harm_disk(self, owner: OwnerProcess, how: str) -> None:
        disk = owner.disk
        match how:
            case "machine":
                disk.machine_crash()
            case "lost":
                disk.lose()
            case "older":
                disk.put_back()
            case "corrupt":
                disk.corrupt()
            case "swapped":
                disk.swap()

    def _stop_owner(self, fault: Fault) -> None:
        owner = self._owner(fault)
        if owner.process.alive and not owner.process.frozen:
            owner.stop()
            self._events.after((fault.ms + 50) * MS, owner.start)

    def _pause_owner(self, fault: Fault) -> None:
        owner = self._owner(fault)

        def stand() -> None:
            process, life = owner.process, owner.process.life
            self._universe.tell(f"owner {process.name} is paused for {fault.ms} ms")
            process.freeze()

            def resume() -> None:
                if process.life == life and process.frozen:
                    self._universe.tell(f"owner {process.name} runs on")
                    process.resume()

            self._later(fault.ms, resume)
            owner.preempt(1)

        if owner.process.alive:
            owner.arm(fault.calls, stand)

    def _preempt(self, fault: Fault) -> None:
        owner = self._owner(fault)
        ms = max(1, fault.ms // 4)

        def others_first() -> None:
            self._universe.tell(f"owner {owner.process.name} is not scheduled for {ms} ms")
            owner.preempt(ms * MS)

        if owner.process.alive:
            owner.arm(fault.calls, others_first)

    def _store(self, fault: Fault) -> None:
        owner = self._owner(fault)
        self._universe.tell(f"the disk of owner {owner.process.name} fails soon")
        owner.disk.broken_in = fault.calls

    def _late_config(self, fault: Fault) -> None:
        """For an owner that goes on, or for one that begins anew and knows nothing yet."""
        owner = self._owner(fault)
        self._universe.tell(f"owner {owner.process.name} has no policies for {fault.ms} ms")
        owner.late_config.until = self._events.now + fault.ms * MS
        owner.late_config.lacking = fault.variant == "lacking"
        if fault.share < 0.5:
            self._kill_owner(replace(fault, variant="kept", ms=fault.ms // 4))
        elif fault.share < 0.8:
            self._shuffle(self._stage.owners_group)

    def _state(self, fault: Fault) -> None:
        owner = self._owner(fault)
        self._universe.tell(f"owner {owner.process.name} writing `state`: {fault.variant}")
        if fault.variant == "slow":
            owner.state_faults.slow_us = fault.ms * MS
        else:
            owner.state_faults.failing += [""] * (fault.calls % 3) + [fault.variant]

    # --- workers --------------------------------------------------------------------------------

    def _kill_worker(self, fault: Fault) -> None:
        worker = self._worker(fault)
        worker.kill(int(fault.share * 500 * MS))
        self._events.after(fault.ms * MS, worker.start)

    def _pause_worker(self, fault: Fault) -> None:
        process = self._worker(fault).process
        if process.alive and not process.frozen:
            life = process.life
            self._universe.tell(f"worker {process.name} is paused for {fault.ms} ms")
            process.freeze()
            self._later(fault.ms, lambda: process.resume() if process.life == life else None)

    def _stop_worker(self, fault: Fault) -> None:
        worker = self._worker(fault)
        worker.stop()
        self._events.after((fault.ms + 300) * MS, worker.start)

    def _expire_worker(self, fault: Fault) -> None:
        worker = self._worker(fault)
        worker.realm.group.expire(worker.process.name)

    # --- both -----------------------------------------------------------------------------------

    def _shuffle(self, group: Group) -> None:
        self._universe.tell(f"group {group.name} moves partitions about")
        group.shuffle()

    def _ordain(self, ordained: list[Ordained], topic: str, fault: Fault) -> None:
        late_us = int(fault.share * 700 * MS)
        ordained.append(Ordained(topic, fault.calls % 8, Fate(fault.variant), late_us))

    def _lose_what_follows(self, fault: Fault) -> None:
        """A turn is left unfinished: by an owner that lives, or dies of it."""
        kill = replace(fault, calls=1)
        lost = Ordained(JOURNAL, fault.calls % 3, Fate.LOST, 0, _follows)
        lost.then = (lambda: self._kill_owner(kill)) if fault.variant else None
        self._owner(fault).ordained.append(lost)

    def _cut(self, process: Process, fault: Fault) -> None:
        if process.cut:
            return
        self._universe.tell(f"{process.name} loses the network for {fault.ms} ms")
        process.cut_off(True)

        def back() -> None:
            if process.cut:
                process.cut_off(False)
                self._universe.tell(f"{process.name} has the network again")
                self._universe.network.changed()

        self._later(fault.ms, back)

    def _outage(self, fault: Fault) -> None:
        network = self._universe.network
        if not network.up:
            return
        ms = max(1, fault.ms // 2)
        self._universe.tell(f"the broker is gone for {ms} ms")
        network.up = False

        def back() -> None:
            network.up = True
            self._universe.tell("the broker is back")
            network.changed()

        self._later(ms, back)

    def _slow(self, fault: Fault) -> None:
        processes = self._processes()
        process = processes[fault.target % len(processes)]
        self._universe.tell(f"the network of {process.name} is slow for {fault.ms} ms")
        process.slow = 40

        def fast() -> None:
            process.slow = 1

        self._later(fault.ms, fast)

    def _clock(self, fault: Fault) -> None:
        of_owner = fault.variant == "owner"
        process = self._owner(fault).process if of_owner else self._worker(fault).process
        scenario = self._stage.scenario
        most = scenario.skew_ms // 2
        if not scenario.clocks_kept and fault.share < 0.5:
            most = 20 * scenario.skew_ms
        process.clock.ahead_ms = int((2 * fault.share - 1) * most) if most else 0
        if most > scenario.skew_ms:
            process.clock.ahead_ms = most if fault.share < 0.25 else -most
        self._universe.tell(f"the clock of {process.name} is {process.clock.ahead_ms} ms ahead")

    # --- the broker -----------------------------------------------------------------------------

    def _retention(self, fault: Fault) -> None:
        self._stage.expire_records(fault.target % self._stage.scenario.partitions, fault.share)

    def _compact(self, fault: Fault) -> None:
        partition = fault.target % self._stage.scenario.partitions
        self._universe.tell(f"state/{partition} is compacted")
        self._stage.state[partition].compact()


def _follows(value: bytes) -> bool:
    return follows(decode(value, JournalRecord))
