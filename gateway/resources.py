"""What a running gateway holds open: policies, state directory, record. Opened together, closed together."""

from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from starlette.types import Receive, Scope, Send

from gateway import __version__
from gateway.audit.anchors.keeper import AnchorKeeper, Places
from gateway.audit.anchors.places import PeerPlace, WitnessPlace
from gateway.audit.events import Durability, Event, lifecycle, policy_change
from gateway.audit.ledger import Ledger
from gateway.audit.mask_keys import masks_of
from gateway.audit.options import LedgerOptions
from gateway.audit.recorder import Recorder
from gateway.audit.sealing.keeper import Keeper
from gateway.audit.stamp import stamp
from gateway.errors import AuditUnavailable, ConfigurationError, GatewayError, StartupError
from gateway.middleware.bare import answer_bare
from gateway.model import ANONYMOUS, Policy, PolicyRef
from gateway.revisions import KeptLastGood, Reloaded, Revisions
from gateway.settings import Audit, Settings
from gateway.settings import Brand as BrandSettings
from gateway.state.directory import StateDirectory
from gateway.state.secrets import Secret
from gateway.web.brand import Brand, read_logo
from gateway.web.health import Health

log = structlog.get_logger("gateway.policy")


@dataclass(slots=True)
class Resources:
    """Everything that must be closed again, and what is made of it once."""

    settings: Settings
    revisions: Revisions
    state: StateDirectory
    ledger: Ledger
    recorder: Recorder
    brand: Brand
    health: Health = field(init=False)
    keeper: Keeper = field(init=False)
    anchors: AnchorKeeper = field(init=False)
    _judging: PolicyRef | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Health reads the other parts; the keepers seal what the ledger has finished, and anchor what it signs."""
        audit, directory = self.settings.audit, self.state.audit_directory()
        self.keeper = Keeper(self.ledger, directory, retention_days=audit.retention_days)
        self.anchors = AnchorKeeper(directory, f"{self.state.instance}/w0", _places(audit), self._note)
        self.health = Health(self.revisions, self.ledger, lambda: self.anchors.statuses)

    @classmethod
    def open(cls, settings: Settings) -> "Resources":
        """Open in the order in which a mistake costs least: nothing is written before the policies are known good.

        Raises:
            ConfigurationError: policies or brand.
            StartupError: the state directory or the record.
        """
        revisions = Revisions(settings.policies)
        brand = brand_of(settings.brand)
        state = StateDirectory.prepare(settings.state_dir)
        audit = settings.audit
        options = LedgerOptions(
            ack_timeout=audit.ack_timeout,
            segment_size=audit.segment_size,
            segment_age=audit.segment_age,
            on_damage=audit.on_damage,
        )
        masks = masks_of(state.path, audit.pseudonyms, audit.pseudonym_days)
        ledger = Ledger.open(state.audit_directory(), origin=f"{state.instance}/w0", options=options)
        recorder = Recorder(ledger, audit.on_failure, audit.on_failure_hold, masks)
        return cls(settings, revisions, state, ledger, recorder, brand)

    def active_policy(self) -> Policy:
        """The policy in force at this moment."""
        return self.revisions.active

    @property
    def session_keys(self) -> tuple[Secret, ...]:
        """The keys of our cookie, newest first: the operator's, else those of the state directory."""
        return self.settings.session.keys or self.state.session_keys()

    def announce(self) -> None:
        """Record that we begin, and under which policy; record every change of it from now on."""
        ref = self.revisions.active.ref
        self._judging = ref
        self._note(lifecycle("gateway.start", "gateway started", {"version": __version__}, stamp()))
        self._note(policy_change(None, ref, ANONYMOUS, {}, stamp(), self.recorder.masks))
        self.revisions.subscribe(self._reloaded)
        self.revisions.watch()
        self.keeper.start()
        self.anchors.start()

    def close(self) -> None:
        """Record that we end, and close everything. Safe to call after a start that failed half-way."""
        self.health.stopping = True
        self.revisions.close()
        self.keeper.close()
        self._note(lifecycle("gateway.stop", "gateway stopped", {"version": __version__}, stamp()))
        self.ledger.close()
        self.anchors.close()  # last, so that what is kept elsewhere is the log as it was at its end

    def _reloaded(self, outcome: Reloaded | KeptLastGood) -> None:
        """Called by the thread that watches the policies."""
        match outcome:
            case Reloaded(policy=policy):
                log.info("policy.reloaded", revision=policy.ref.revision, digest=policy.ref.digest)
                before, self._judging = self._judging, policy.ref
                self._note(policy_change(before, policy.ref, ANONYMOUS, {}, stamp(), self.recorder.masks))
            case KeptLastGood(policy=policy, problems=problems):
                told = [str(problem) for problem in problems]
                log.error("policy.kept-last-good", revision=policy.ref.revision, problems=told)
                facts = {"revision": policy.ref.revision, "problems": told[:5]}
                self._note(lifecycle("policy.rejected", "the last good policy stays", facts, stamp()))

    def _note(self, event: Event) -> None:
        with suppress(AuditUnavailable):  # the ledger is in its failed state, and has raised its own alarm
            self.ledger.append(event, Durability.BEFORE)


def _places(audit: Audit) -> Places:
    return Places(
        audit.anchor_directories,
        [PeerPlace.parse(each) for each in audit.peers],
        [WitnessPlace.parse(each) for each in audit.witnesses],
        audit.anchor_interval,
    )


def brand_of(settings: BrandSettings) -> Brand:
    """The brand with its logo read. Raises SettingsError with every field that cannot be used."""
    logo = None if settings.logo is None else read_logo(settings.logo)
    return Brand(name=settings.name, logo=logo, colour=settings.colour, support=settings.support)


def explain(error: GatewayError) -> str:
    """What a server prints when we do not start: every problem, and what to do, a line each."""
    if isinstance(error, ConfigurationError):
        lines = [(str(problem), problem.hint) for problem in error.problems]
    else:
        lines = [(str(error), error.hint if isinstance(error, StartupError) else None)]
    return "\n".join(text + (f"\nhint: {hint}" if hint else "") for text, hint in lines)


async def not_ready(scope: Scope, _receive: Receive, send: Send) -> None:
    """The whole application before it has started and after it has stopped: nothing is served unrecorded.

    http: 503. websocket: refused. lifespan: never comes here.
    """
    await answer_bare(scope, send, 503, 1013, "not ready")
