"""Draws a plan from a seed."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from symphainy_simulation.actors.programs import Line
from symphainy_simulation.beats import with_beats
from symphainy_simulation.cancels import with_cancels
from symphainy_simulation.children import with_breaks, with_children
from symphainy_simulation.deadlines import with_deadlines
from symphainy_simulation.fanouts import with_fanouts
from symphainy_simulation.governance import with_governance, with_late_config
from symphainy_simulation.in_vain import with_failing_children
from symphainy_simulation.pauses import with_pauses
from symphainy_simulation.plan import (
    SESSIONS,
    TENANTS,
    Fault,
    Harm,
    Kind,
    Plan,
    Scenario,
    Stated,
    Token,
)
from symphainy_simulation.replays import with_replays
from symphainy_simulation.sagas import with_sagas
from symphainy_simulation.sessions import with_opened_again, with_sessions
from symphainy_simulation.waits import with_waits
from symphainy_simulation.world.chance import Chance

STATED_FOR_MS = 2_600
WAITS = "waits/175"  # a stream in which the seeds that tests name draw no waits
CANCELS = "cancels/32"  # the same for who wants executions to end
BEATS = "beats/32"  # and for whose handlers must show signs of life
DEADLINES = "deadlines/77"  # and for whose executions have to end in time
PAUSES = "pauses/31"  # and for who lets executions rest
SAGAS = "sagas/14940"  # and for whose executions have plans
FANOUTS = "fanouts/16"  # and for whose plans run steps for each element of a list
CHILDREN = "children/26981"  # and for whose handlers invoke others
IN_VAIN = "in_vain/18"  # and for whom an operator has tried again when that has failed
REPLAYS = "replays/587"  # and for whom somebody looks back at executions
GOVERNANCE = "governance/63637"  # and for whom somebody governs
LIVES = "sessions/23826"  # and for whose sessions expire, change, and end what runs in them
NOTICES = "notices/7"  # and for whose workers are told what is to end
TOLD = 0.6  # of the seeds
AGAIN = f"{LIVES}/again"  # and for whose sessions are opened again
WINDOWS = "windows/1349"  # and for whose tenant has a dedupe window of its own
OWN_WINDOWS = 0.25  # of the seeds
FAULTS_FOR_MS = 3_600
HEALED_AT_MS = 4_500


def plan_of(token: Token) -> Plan:
    """What a token expands to."""
    return token.of(expand(token.seed))


def expand(seed: int) -> Plan:
    """Draw everything."""
    chance = Chance(seed)
    told = chance.stream(NOTICES).random() < TOLD
    scenario = replace(_scenario(chance.stream("scenario")), told=told)
    scenario = replace(scenario, tenant_window_ms=_tenant_window_ms(chance.stream(WINDOWS)))
    stated = with_waits(_stated(chance.stream("stated"), scenario), chance.stream(WAITS))
    stated = with_beats(stated, chance.stream(BEATS))
    stated = with_deadlines(stated, chance.stream(DEADLINES))
    stated = with_cancels(stated, chance.stream(CANCELS))
    stated = with_pauses(stated, chance.stream(PAUSES))
    stated = with_sagas(stated, chance.stream(SAGAS), scenario)
    stated = with_fanouts(stated, chance.stream(FANOUTS), scenario)
    stated = with_children(stated, chance.stream(CHILDREN), scenario)
    stated = with_failing_children(stated, chance.stream(IN_VAIN), scenario)
    stated = with_replays(stated, chance.stream(REPLAYS))
    stated = with_governance(stated, chance.stream(GOVERNANCE), scenario)
    stated = with_sessions(stated, chance.stream(LIVES))
    stated = with_opened_again(stated, chance.stream(AGAIN), scenario.dedupe_window_ms)
    faults = _faults(chance.stream("faults"), scenario)
    faults = with_breaks(faults, stated, chance.stream(f"{CHILDREN}/faults"))
    faults = with_late_config(faults, stated, chance.stream(f"{GOVERNANCE}/faults"))
    return Plan(seed, scenario, tuple(stated), tuple(faults))


def _tenant_window_ms(chance: Random) -> int:
    return chance.choice((300, 1_200, 10**10)) if chance.random() < OWN_WINDOWS else 0


def _scenario(chance: Random) -> Scenario:
    partitions = chance.choice((1, 2, 2, 3, 4))
    return Scenario(
        owners=chance.choice((1, 2, 2, 3)),
        partitions=partitions,
        workers=chance.choice((1, 2, 2, 3)),
        realms=chance.choice((1, 1, 2)),
        concurrency=chance.choice((2, 4, 4, 16)),
        skew_ms=chance.choice((20, 60, 150)),
        clocks_kept=chance.random() < 0.93,
        start_by_ms=chance.choice((300, 700, 1_500)),
        dedupe_window_ms=chance.choice((600, 2_500, 10**10, 10**10)),
        position_every_inputs=chance.choice((1, 4, 50)),
        position_every_ms=chance.choice((60, 250)),
        due_per_tick=chance.choice((1, 5, 100)),
        flush_every_ms=chance.choice((30, 120, 600)),
        flush_at=chance.choice((1, 8, 200)),
        state_every_ms=chance.choice((60, 250, 900)),
        max_in_flight=chance.choice((2, 10, 200)),
        max_live=chance.choice((3, 10**6, 10**6)),
        fold_slice=chance.choice((2, 20, 500)),
        renew_term_ms=chance.choice((900, 3_000, 10**9, 10**9)),
        marker_again_ms=chance.choice((150, 500)),
        tenant_limit=chance.choice((0, 0, 1, 4)),
        key_limit=chance.choice((1, 1, 2)),
        attempts=chance.choice((1, 2, 3)),
        timeout_ms=chance.choice((120, 250, 500)),
        tight=chance.random() < 0.4,
    )


# --- what is stated -----------------------------------------------------------------------------

_COMMON = (
    ("quick", 8),
    ("steps", 6),
    ("flaky", 4),
    ("slow", 3),
    ("keyed", 4),
    ("refuse", 1),
    ("hang", 2),
    ("untimed", 2),
)


def _stated(chance: Random, scenario: Scenario) -> list[Stated]:
    """Sessions are opened first, most of them; then whatever comes."""
    tenants = TENANTS[: chance.choice((1, 2, 3))]
    found: list[Stated] = []

    def add(at_ms: int, kind: Kind, tenant: str, session: int, **more: object) -> None:
        one = Stated(len(found), at_ms, kind, tenant, session)
        found.append(replace(one, fate=_fate(chance), **more))  # type: ignore[arg-type]

    for tenant in tenants:
        for session in range(SESSIONS):
            late = chance.random() < 0.1
            add(chance.randrange(600 if late else 60), Kind.OPEN, tenant, session)
    count = chance.choice((4, 10, 18, 30, 40))
    burst = chance.random() < 0.3
    flavour = chance.sample([name for name, _ in _COMMON], chance.choice((1, 3, 8)))
    weights = [weight for name, weight in _COMMON if name in flavour]
    names = [name for name, _ in _COMMON if name in flavour]
    for _ in range(count):
        at_ms = chance.randrange(60, 400 if burst else STATED_FOR_MS)
        tenant, session = chance.choice(tenants), chance.randrange(SESSIONS)
        kind = _kind(chance)
        if kind is Kind.INTENT:
            name = chance.choices(names, weights)[0]
            add(
                at_ms,
                kind,
                tenant,
                session,
                intent_type=_type(name, chance, scenario),
                key=chance.choice("xxy") if name == "keyed" else "",
                priority=chance.choice((3, 3, 3, 1, 5)),
                lines=_lines(name, chance, scenario),
            )
            continue
        intents = [one for one in found if one.kind is Kind.INTENT]
        if kind in (Kind.AGAIN, Kind.OTHER, Kind.FORGED) and intents:
            first = chance.choice(intents)
            later = max(at_ms, first.at_ms) + chance.randrange(300)
            add(
                later,
                kind,
                first.tenant,
                first.session,
                of=first.number,
                variant=chance.randrange(8),
            )
        else:
            kind = Kind.GARBAGE if kind in (Kind.AGAIN, Kind.OTHER, Kind.FORGED) else kind
            add(at_ms, kind, tenant, session, variant=chance.randrange(64))
    return found


def _kind(chance: Random) -> Kind:
    kinds = (
        (Kind.INTENT, 76),
        (Kind.AGAIN, 6),
        (Kind.OTHER, 2),
        (Kind.FORGED, 4),
        (Kind.GARBAGE, 4),
        (Kind.CLOSE, 1),
        (Kind.OPEN, 1),
        (Kind.MISPLACED, 1),
        (Kind.WRONG, 3),
        (Kind.SKIP, 2),
    )
    return chance.choices([k for k, _ in kinds], [w for _, w in kinds])[0]


def _fate(chance: Random) -> str:
    return chance.choices(
        ("", "is lost", "lands only after its producer gave it up",
         "lands, but its acknowledgement is lost"),
        (88, 3, 4, 5),
    )[0]  # fmt: skip


def _type(name: str, chance: Random, scenario: Scenario) -> str:
    realm = "work" if scenario.realms == 1 or chance.random() < 0.6 else "side"
    return f"{realm}.{name}"


def _lines(name: str, chance: Random, scenario: Scenario) -> tuple[Line, ...]:
    def work(most: int) -> Line:
        return Line("work", ms=chance.randrange(1, most))

    attempts = scenario.attempts
    match name:
        case "quick" | "keyed":
            return (work(40),) if chance.random() < 0.7 else ()
        case "untimed":
            return (work(300),)
        case "slow":
            return (work(2 * scenario.timeout_ms),)
        case "flaky":
            delay = chance.choice((0, 0, 30, 200))
            return (work(20), Line("fail", ms=delay, until=chance.randint(1, attempts + 1)))
        case "refuse":
            return (work(60), Line("refuse"))
        case "hang":
            return (Line("hang", until=chance.randint(1, attempts)),)
        case _:
            lines: list[Line] = []
            for number in range(chance.randint(1, 4)):
                lines.append(Line("step", name=f"s{number}", ms=chance.randrange(1, 60)))
                if chance.random() < 0.25:
                    lines.append(Line("fail", until=chance.randint(1, attempts)))
                if chance.random() < 0.1:
                    lines.append(Line("progress"))
                if chance.random() < 0.3:
                    lines.append(work(80))
            return tuple(lines)


# --- what goes wrong ----------------------------------------------------------------------------

DISKS = ("kept", "kept", "kept", "machine", "lost", "older", "corrupt", "swapped")
APPENDS = ("is lost", "lands only after its producer gave it up",
           "lands, but its acknowledgement is lost",
           "is sent again under a new producer epoch and lands twice", "is slow")  # fmt: skip
STATES = ("fails", "commits untold", "slow")
_WEIGHTS: dict[Harm, int] = {
    Harm.KILL_OWNER: 10,
    Harm.PAUSE_OWNER: 6,
    Harm.STOP_OWNER: 4,
    Harm.CUT_OWNER: 3,
    Harm.PREEMPT: 5,
    Harm.EXPIRE_OWNER: 5,
    Harm.SHUFFLE_OWNERS: 4,
    Harm.OUTAGE: 2,
    Harm.APPEND: 7,
    Harm.SEND: 3,
    Harm.STORE: 1,
    Harm.STATE: 3,
    Harm.CLOCK: 2,
    Harm.SLOW: 2,
    Harm.RETENTION: 2,
    Harm.COMPACT: 2,
    Harm.KILL_WORKER: 5,
    Harm.PAUSE_WORKER: 5,
    Harm.STOP_WORKER: 2,
    Harm.CUT_WORKER: 2,
    Harm.EXPIRE_WORKER: 3,
    Harm.SHUFFLE_WORKERS: 3,
    Harm.REPORT: 5,
}


def _faults(chance: Random, scenario: Scenario) -> list[Fault]:
    """Some kinds only, so that what one kind hides another seed shows (swarm testing)."""
    count = chance.choice((0, 1, 3, 6, 10, 16))
    kinds = chance.sample(list(_WEIGHTS), chance.choice((2, 4, 8, len(_WEIGHTS))))
    weights = [_WEIGHTS[kind] for kind in kinds]
    found = []
    for number in range(count):
        harm = chance.choices(kinds, weights)[0]
        found.append(
            Fault(
                number=number,
                at_ms=chance.randrange(20, FAULTS_FOR_MS),
                harm=harm,
                target=chance.randrange(12),
                calls=int(chance.expovariate(1 / 15)),
                ms=_duration(chance),
                variant=_variant(harm, chance),
                share=chance.random(),
            )
        )
    return sorted(found, key=lambda fault: (fault.at_ms, fault.number))


def _duration(chance: Random) -> int:
    return chance.choice(
        (chance.randrange(1, 60), chance.randrange(50, 600), chance.randrange(2_200))
    )


def _variant(harm: Harm, chance: Random) -> str:
    match harm:
        case Harm.KILL_OWNER | Harm.STOP_OWNER:
            return chance.choice(DISKS)
        case Harm.APPEND | Harm.SEND | Harm.REPORT:
            return chance.choice(APPENDS)
        case Harm.STATE:
            return chance.choice(STATES)
        case Harm.CLOCK:
            return chance.choice(("owner", "worker"))
        case _:
            return ""
