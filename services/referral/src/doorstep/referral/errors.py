"""Failures of referral in the words of the domain.

Refusal
├── RequestUnknown            no such request, or not one the caller may know of
├── VersionStale              the caller saw an older version
├── AboutAnother              the caller takes the request to be about somebody else
├── KeyRefused
│   ├── KeyIdTaken            the key id belongs to another key
│   ├── KeyWithdrawn          the key was taken back
│   ├── KeyUnknown            the department has no such key
│   ├── KeyNeeded             the only usable key is not retired
│   └── KeyMissing            the department has published no key to encrypt for
├── CursorExpired             the feed's cursor is none, or none any more
├── TooManyWait               many of the department's callers wait for its feed already
├── NothingToErase            the request is still the department's
├── EndpointRefused
│   ├── EndpointUnknown       the department has no endpoint
│   └── AddressRefused        webhooks do not go to such an address
├── TransitionRefused
│   ├── NoSuchTransition      the table has no way from one state to the other
│   ├── NotThisParty          the way exists, for somebody else
│   ├── ReasonMissing, OutcomeMissing
│   ├── StatusContradicts     state and business status exclude each other
│   ├── AssignmentBinds       an assigned task cannot be rejected
│   ├── AttestationRefused    the department may not attest this, or not with this step
│   ├── OtherSideMustConfirm  who proposed a cancellation cannot confirm it
│   └── SecondPersonMustConfirm
├── RouteRefused              DepartmentUnknown,
│   ├── NothingToRoute        the task neither waits for a department nor came back
│   ├── RejectedThere         the department rejected this need before
│   └── ArbiterMustAssign     two rejections: the arbiter's turn
├── PartRefused
│   ├── NothingOpen           a part is added to what is being worked on
│   ├── NeedElsewhere         the need type is not that department's
│   ├── PartTaken             the department has an open part already
│   ├── PartConfidential      what is confidential is no part of what is not
│   ├── ConsentMissing        the resident was not asked
│   ├── TooManyParts, PartUnknown
│   └── PartUnnamed           there are several parts, and none was named
├── AppointmentRefused
│   ├── WindowRefused         no such window of time
│   ├── PlaceBarred           it would endanger the person
│   └── AppointmentAhead      attendance of what has not begun
├── ConferenceRefused         ConferenceUnknown,
│   ├── ConferenceBarred      violence: not unless the person asks
│   ├── ConferenceClosed      nothing is added to what is closed
│   ├── LeadMissing           the lead and another take part
│   ├── NotSeated             whoever has no part takes none
│   └── NotForThem            an entry about what somebody may not see
├── DirectoryRefused
│   ├── DirectoryInvalid      what would misroute, line by line
│   ├── DirectoryUnknown      no such version, or none in force
│   ├── DirectoryMisnamed     the file names another version than the address
│   └── VersionTaken          the version is another file's
├── LookRefused               LookAnsweredAlready,
│   ├── LookUnknown           nobody asked for this look
│   ├── LookAskedAlready      a look is owed, or was given to this version
│   ├── DecidedBefore         who had a part in the record does not look again
│   └── NothingToOpenAnew     the request is not closed, or goes on already
├── OfficeRefused
│   ├── HandledByAnother      another officer has the request, and the caller is not their deputy
│   ├── NothingToHandle       the request is closed
│   ├── OfficerUnknown        nobody of that name has been at the department's inbox, or in that office
│   ├── DeputyUnknown         no such deputy is named
│   └── DeputyTwice           the officer has another deputy in that time
├── NoticeRefused
│   ├── NothingToNotify       the request is in no state that such a notice tells
│   ├── NoticeBarred          a letter could be read by somebody else at home
│   └── NoticeUnknown         no such notice was issued
└── RatingRefused             RatedAlready,
    ├── NotRatable            not answered yet, or taken back
    └── WindowClosed          seven days have passed since closing
"""

from collections.abc import Sequence

from doorstep.referral.domain.directory import Flaw


class Refusal(Exception):
    """Something referral will not do."""

    def __init__(self, **facts: object) -> None:
        """`facts` are codes and numbers that may be told to the caller; never personal data."""
        super().__init__(type(self).__name__)
        self.facts = facts


class RequestUnknown(Refusal):
    """There is no such request for this caller."""


class VersionStale(Refusal):
    """The task has changed since the version that the caller named."""


class AboutAnother(Refusal):
    """The request is not about whom the caller takes it to be."""


class KeyRefused(Refusal):
    """A key is not used, or not taken back, like this."""


class KeyIdTaken(KeyRefused):
    """The department has another key under this id."""


class KeyWithdrawn(KeyRefused):
    """This key was taken back."""


class KeyUnknown(KeyRefused):
    """The department has no such key."""


class KeyNeeded(KeyRefused):
    """Without this key the department would have none to encrypt for."""


class KeyMissing(KeyRefused):
    """The department has no key to encrypt for."""


class CursorExpired(Refusal):
    """No message that is still known stands at this cursor."""


class NothingToErase(Refusal):
    """The request was not taken back from the department."""


class EndpointRefused(Refusal):
    """Webhooks are not sent like this."""


class EndpointUnknown(EndpointRefused):
    """The department has registered no endpoint."""


class AddressRefused(EndpointRefused):
    """Webhooks go to public https addresses alone."""


class TransitionRefused(Refusal):
    """The task does not make this step."""


class NoSuchTransition(TransitionRefused):
    """No way leads from the present state to the wished one."""


class NotThisParty(TransitionRefused):
    """This step belongs to another party."""


class ReasonMissing(TransitionRefused):
    """This step needs a reason code."""


class OutcomeMissing(TransitionRefused):
    """This step needs an outcome code."""


class StatusContradicts(TransitionRefused):
    """State and business status contradict each other."""


class AssignmentBinds(TransitionRefused):
    """The arbiter assigned this task; it cannot be rejected."""


class AttestationRefused(TransitionRefused):
    """What is attested is not for the department to attest, or not with this step; `flaws` say what, and where."""

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        """At least one flaw."""
        super().__init__()
        self.flaws = tuple(flaws)


class OtherSideMustConfirm(TransitionRefused):
    """The cancellation waits for the other side."""


class SecondPersonMustConfirm(TransitionRefused):
    """The correction of a final state waits for a second person."""


class RouteRefused(Refusal):
    """The task is not handed on like this."""


class NothingToRoute(RouteRefused):
    """Only a task that waits for a department or was rejected is handed on."""


class DepartmentUnknown(RouteRefused):
    """No such department takes requests."""


class RejectedThere(RouteRefused):
    """That department rejected this need before."""


class ArbiterMustAssign(RouteRefused):
    """After two rejections only the arbiter assigns."""


class PartRefused(Refusal):
    """A request does not have such a part."""


class NothingOpen(PartRefused):
    """A part is added only to a request on which a department is to work."""


class NeedElsewhere(PartRefused):
    """This need type is not owed by that department."""


class PartTaken(PartRefused):
    """That department has an open part of this request."""


class PartConfidential(PartRefused):
    """Whoever holds the follow code would see the state of something confidential."""


class ConsentMissing(PartRefused):
    """This need type rests on consent, and the resident was not asked."""


class TooManyParts(PartRefused):
    """The request has as many parts as one may have."""


class PartUnnamed(PartRefused):
    """The request has several parts; say which."""


class PartUnknown(PartRefused):
    """The request has no such part."""


class AppointmentRefused(Refusal):
    """There is no such appointment."""


class WindowRefused(AppointmentRefused):
    """The window is over, empty, too long or too far away."""


class PlaceBarred(AppointmentRefused):
    """Protection from violence bars this place, unless the person asks for it."""


class AppointmentAhead(AppointmentRefused):
    """The appointment has not begun, so that nobody attended or missed it."""


class ConferenceRefused(Refusal):
    """There is no such conference, or not like this."""


class ConferenceUnknown(ConferenceRefused):
    """There is no such conference for this caller."""


class ConferenceBarred(ConferenceRefused):
    """Protection from violence bars a joint conference, unless the person asks for it."""


class ConferenceClosed(ConferenceRefused):
    """Nothing is added to the minutes of what is closed."""


class LeadMissing(ConferenceRefused):
    """At a conference are the lead and at least one more."""


class NotSeated(ConferenceRefused):
    """Only departments that have a part of the request, and of it a seat, are at a conference."""


class NotForThem(ConferenceRefused):
    """The entry is about a kind of fact that somebody of those named does not see."""


class DirectoryRefused(Refusal):
    """A service directory is not taken, or not there."""


class DirectoryInvalid(DirectoryRefused):
    """The directory is malformed, or would route to where nobody is; `flaws` say what is wrong, and where."""

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        """At least one flaw."""
        super().__init__()
        self.flaws = tuple(flaws)

    def __str__(self) -> str:
        """One line for each flaw."""
        return "\n".join(f"{flaw.where} {flaw.en}" for flaw in self.flaws)


class DirectoryUnknown(DirectoryRefused):
    """There is no such version of the directory, or none is in force."""


class DirectoryMisnamed(DirectoryRefused):
    """The file names another version than the address it is sent to."""


class VersionTaken(DirectoryRefused):
    """Another directory has this version; what was published is not changed."""


class OfficeRefused(Refusal):
    """A department does not share out its requests like this."""


class HandledByAnother(OfficeRefused):
    """Another officer has the request."""


class NothingToHandle(OfficeRefused):
    """A closed request is given to nobody."""


class OfficerUnknown(OfficeRefused):
    """No such officer has been at the inbox of this department, or not in the office that has the request."""


class DeputyUnknown(OfficeRefused):
    """No such deputy is named, or not by the caller."""


class DeputyTwice(OfficeRefused):
    """The officer has another deputy in that time."""


class NoticeRefused(Refusal):
    """A notice is not issued or shown like this."""


class NothingToNotify(NoticeRefused):
    """The request is in no state that such a notice tells."""


class NoticeBarred(NoticeRefused):
    """A letter could be read at home; the person has named no safe way to be reached."""


class NoticeUnknown(NoticeRefused):
    """No such notice was issued."""


class TooManyWait(Refusal):
    """So many callers of a department wait for its feed already."""


class LookRefused(Refusal):
    """Nobody looks at a request again like this."""


class LookUnknown(LookRefused):
    """There is no such look at this request."""


class LookAskedAlready(LookRefused):
    """Somebody is looking already, or has, and nothing has changed since."""


class LookAnsweredAlready(LookRefused):
    """The look has its answer."""


class DecidedBefore(LookRefused):
    """Whoever had a duty on the record does not look at it again."""


class NothingToOpenAnew(LookRefused):
    """Only what is closed, and goes on nowhere, is opened anew."""


class RatingRefused(Refusal):
    """The request is not rated like this."""


class NotRatable(RatingRefused):
    """Only a request that was completed, failed or rejected is rated."""


class RatedAlready(RatingRefused):
    """The request has its rating."""


class WindowClosed(RatingRefused):
    """The seven days for "not solved" have passed."""
