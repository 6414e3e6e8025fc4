"""Who of the station asks for what a resident wants done, why, and what the policies say of it."""

from dataclasses import dataclass

from doorstep.contracts.codes import Action, Purpose
from doorstep.kit.auth import Principal
from doorstep.kit.intents import Intent
from doorstep.kit.policy import Forbidden, Policy, Resource
from doorstep.registry.errors import OwnRecord, SecondPersonMustConfirm
from doorstep.registry.queries import ErasureRow

STAFF = "staff"


@dataclass(frozen=True)
class Asking:
    """Somebody who may ask for erasures or exclusions, or confirm, why, and the policies that say so, for the log."""

    principal: Principal
    purpose: Purpose
    policy: Policy
    policies: tuple[str, ...]

    def decide(self, action: str, *, own_record: bool, proposer: bool = False) -> None:
        """Whether they may, on this file. Raises OwnRecord, SecondPersonMustConfirm."""
        thing = Resource("erasure", own_record=own_record, proposer=proposer, station=self.principal.station)
        try:
            self.policy.authorize(self.principal, action, thing, purpose=self.purpose)
        except Forbidden:
            raise (SecondPersonMustConfirm if proposer else OwnRecord) from None

    @property
    def station(self) -> str:
        """Where they serve; nowhere if no token says so."""
        return self.principal.station or ""

    def intent(self, erasure: ErasureRow, outcome: str) -> Intent:
        """What is logged about the subject of `erasure`."""
        return Intent(
            Action.ERASE_SUBJECT,
            [erasure.subject_id],
            purpose=self.purpose,
            case=erasure.erasure_id,
            outcome=outcome,
            policies=self.policies,
        )
