"""What can go wrong with a file, a guardian, an erasure and an emergency access, in the words of the registry.

Refusal
├── FileUnknown
├── SubjectUnknown
├── NoGuardian
│   ├── AgeUnknown
│   ├── OldEnough
│   ├── GuardianTooYoung
│   └── GuardianSuspended
├── GuardianUnknown
├── ErasureUnknown
├── PlaceStays
├── ErasureAsked
├── SecondPersonMustConfirm
├── OwnRecord
├── BreakGlassUnknown
├── SecondUnknown
├── NotTheSecond
├── ThirdPersonMustReview
├── Reviewed
└── PlanRefused
    ├── PlanStands
    ├── PlanOver
    ├── PlanContested
    ├── ConsentMissing
    ├── FactUnfit
    ├── FactNotNewer
    ├── PanelWrong
    ├── TeamWrong
    ├── LevelWrong
    ├── ProposalWaits
    ├── ProposalOver
    ├── DecidedAlready
    ├── MeetingUnknown
    ├── SecondMemberMustConfirm
    └── ContestUnknown
"""


class Refusal(Exception):
    """The registry does not show or does this."""


class FileUnknown(Refusal):
    """There is no such household file, or it is another station's."""


class SubjectUnknown(Refusal):
    """The file has no such subject."""


class NoGuardian(Refusal):
    """This person has no guardian here, or not this one."""


class AgeUnknown(NoGuardian):
    """Neither paper nor year of birth says that the person is a child."""


class OldEnough(NoGuardian):
    """The person is of an age to see to their own data."""


class GuardianTooYoung(NoGuardian):
    """Who would be the guardian is a child themselves."""


class GuardianSuspended(NoGuardian):
    """This guardian was suspended."""


class GuardianUnknown(Refusal):
    """The person has no guardian on record."""


class ErasureUnknown(Refusal):
    """There is no such erasure, or it is another station's."""


class PlaceStays(Refusal):
    """A place is nobody's own: no resident can have it erased."""


class ErasureAsked(Refusal):
    """Somebody asked for this erasure before; it waits for a second person."""


class SecondPersonMustConfirm(Refusal):
    """Who asked for an erasure does not confirm it."""


class OwnRecord(Refusal):
    """Who took a record of the file neither asks for an erasure in it nor confirms one."""


class BreakGlassUnknown(Refusal):
    """There is no such emergency access, or it is another station's."""


class SecondUnknown(Refusal):
    """Nobody of the station who was here lately is called what the second person was."""


class NotTheSecond(Refusal):
    """Who was named as the second person, and nobody else, acknowledges an emergency access."""


class ThirdPersonMustReview(Refusal):
    """An emergency access is reviewed by neither of the two whom it names."""


class Reviewed(Refusal):
    """The emergency access was reviewed before."""


class PlanRefused(Refusal):
    """Nothing is done like this with a care plan."""


class PlanStands(PlanRefused):
    """The person has a care plan, or one is proposed for them."""


class PlanOver(PlanRefused):
    """The care plan lapsed, was left, or the person took their consent back."""


class PlanContested(PlanRefused):
    """The person contests the care plan: until that is answered the team reads it for safety, and that is all."""


class ConsentMissing(PlanRefused):
    """No consent of the person or guardian to a care plan that still stands was named."""


class FactUnfit(PlanRefused):
    """The fact that was cited is not in the file, or shows no need of this person."""


class FactNotNewer(PlanRefused):
    """The fact that was cited was known when the plan was proposed last."""


class PanelWrong(PlanRefused):
    """These are not the people who decide on this."""


class TeamWrong(PlanRefused):
    """A team has two members at least, and nobody twice."""


class LevelWrong(PlanRefused):
    """A change names another level than the present one, and nothing else does."""


class ProposalWaits(PlanRefused):
    """Another proposal waits for its panel."""


class ProposalOver(PlanRefused):
    """The proposal was decided, or was not decided in time."""


class DecidedAlready(PlanRefused):
    """This member of the panel has decided."""


class MeetingUnknown(PlanRefused):
    """The team recorded no such meeting."""


class SecondMemberMustConfirm(PlanRefused):
    """A meeting is confirmed by another member of the team than who recorded it."""


class ContestUnknown(PlanRefused):
    """Nobody contests this plan, or it was answered."""
