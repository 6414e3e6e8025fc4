"""Codes that events and answers carry: departments, roles, purposes, legal bases, reasons, outcomes, states."""

from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import Field

Code = TypeVar("Code", bound=StrEnum)
Coded = Annotated[Code | str, Field(union_mode="left_to_right")]
"""A code that later versions may add to: what this version does not know stays text."""


class Department(StrEnum):
    """A department that receives service requests."""

    CIVIL_AFFAIRS = "civil-affairs"
    HEALTH = "health"
    JUSTICE = "justice"
    FIRE = "fire"
    LABOUR = "labour"
    HOUSING = "housing"


DEPARTMENT_NAMES: dict[Department, tuple[str, str]] = {
    Department.CIVIL_AFFAIRS: ("民政", "Civil affairs"),
    Department.HEALTH: ("卫健", "Health"),
    Department.JUSTICE: ("司法", "Justice"),
    Department.FIRE: ("消防", "Fire safety"),
    Department.LABOUR: ("人社", "Labour"),
    Department.HOUSING: ("住建", "Housing"),
}

OPEN_DEPARTMENTS = frozenset({Department.CIVIL_AFFAIRS, Department.FIRE, Department.LABOUR, Department.HOUSING})
"""Departments whose name says nothing about violence, legal aid or health. One that is new is not among them."""

STATION = "station"
COMMUNITY_OFFICE = "community-office"
HOTLINE = "hotline-12345"
AGENCY_NAMES: dict[str, tuple[str, str]] = {
    STATION: ("社区服务站", "Community service station"),
    COMMUNITY_OFFICE: ("社区工作站", "Community office"),
    HOTLINE: ("12345 热线", "12345 hotline"),
    **{str(department): names for department, names in DEPARTMENT_NAMES.items()},
}
"""What an agency of a token is called, in Chinese and English."""


class Role(StrEnum):
    """What somebody may be to the station."""

    COLLECTOR = "collector"
    REVIEWER = "reviewer"
    SUPERVISOR = "supervisor"
    OFFICER = "officer"
    DEPARTMENT_SYSTEM = "department-system"
    RESIDENT = "resident"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    PORTAL = "portal"
    SERVICE = "service"
    HOTLINE = "hotline"


class Channel(StrEnum):
    """How a record came about."""

    VISIT = "visit"
    COUNTER = "counter"
    PHONE = "phone"
    RESIDENT = "resident"
    HOTLINE = "hotline-12345"
    DEPARTMENT = "department"


class SafeChannel(StrEnum):
    """By what somebody can be reached without danger; at the station they ask for themselves."""

    PHONE = "phone"
    MESSAGE = "message"
    TRUSTED_PERSON = "trusted-person"
    AT_STATION = "at-station"


class NoticeChannel(StrEnum):
    """By what a resident is told that there is news; `none` is their own no."""

    SMS = "sms"
    WECHAT = "wechat"
    VOICE = "voice"
    PAPER = "paper"
    NONE = "none"


class LookFinding(StrEnum):
    """What a human found who looked at a request again because its resident asked for it."""

    STANDS = "stands"
    OPENED_ANEW = "opened-anew"
    RECORD_TO_BE_CORRECTED = "record-to-be-corrected"


class Barred(StrEnum):
    """What a request for protection from violence bars, unless the person asks for it."""

    MEDIATION = "mediation"
    JOINT_CONFERENCE = "joint-conference"
    HOME_VISIT = "home-visit"


class ProxyScope(StrEnum):
    """What the code of a proxy opens."""

    FOLLOW_REQUESTS = "follow-requests"
    SEE_USAGE = "see-usage"


class GuardianBasis(StrEnum):
    """By what somebody is the guardian of a child (Civil Code, articles 27 to 32)."""

    PARENT = "parent"
    ADOPTIVE_PARENT = "adoptive-parent"
    NEXT_OF_KIN = "next-of-kin"
    APPOINTED = "appointed"


class GuardianSuspension(StrEnum):
    """Why a guardian must not see what concerns the child any more."""

    VIOLENCE = "danger-of-violence"
    NEGLECT = "neglect"
    EXPLOITATION = "exploitation"
    COURT_ORDER = "court-order"


class Purpose(StrEnum):
    """Why personal data is read or passed on."""

    INTAKE = "intake"
    TRIAGE = "triage"
    SERVICE = "service"
    FOLLOW_UP = "follow-up"
    AUDIT = "audit"
    RESIDENT_REQUEST = "resident-request"
    REPAIR = "repair"
    EMERGENCY = "emergency"


class LegalBasis(StrEnum):
    """On what the law lets a fact be held or passed on."""

    CONSENT = "consent"
    STATUTORY_DUTY = "statutory-duty"
    VITAL_INTEREST = "vital-interest"
    PUBLIC_SAFETY = "public-safety"


class SaidBy(StrEnum):
    """Who stated a fact."""

    PERSON = "person"
    GUARDIAN = "guardian"
    COLLECTOR_SAW = "collector-saw"
    DEPARTMENT = "department"


class Urgency(StrEnum):
    """How soon the first response is owed."""

    ONE_HOUR = "one-hour"
    DAY = "day"


class TaskState(StrEnum):
    """The states of a task, those of the closed-loop referral profile."""

    DRAFT = "draft"
    REQUESTED = "requested"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    IN_PROGRESS = "in-progress"
    ON_HOLD = "on-hold"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ENTERED_IN_ERROR = "entered-in-error"


class BusinessStatus(StrEnum):
    """What goes on beside the state of a task."""

    APPOINTMENT_SCHEDULED = "appointment-scheduled"
    ATTENDED = "attended"
    NOT_ATTENDED = "not-attended"
    WAITING_FOR_RESIDENT = "waiting-for-resident"
    COULD_NOT_REACH = "could-not-reach-resident"
    NO_CAPACITY = "no-capacity"
    RESIDENT_NO_LONGER_WANTS = "resident-no-longer-wants"
    REOPENED = "reopened"


class Reason(StrEnum):
    """Why a task was rejected, put on hold, failed, cancelled or entered in error."""

    NOT_OURS = "not-ours"
    NOT_ELIGIBLE = "not-eligible"
    NO_CAPACITY = "no-capacity"
    DUPLICATE = "duplicate"
    PAPERS_MISSING = "papers-missing"
    WAITING_FOR_RESIDENT = "waiting-for-resident"
    COULD_NOT_REACH = "could-not-reach-resident"
    RESIDENT_WITHDREW = "resident-withdrew"
    MOVED_AWAY = "moved-away"
    NOT_SOLVABLE = "not-solvable"
    WRONG_RECORD = "wrong-record"
    NO_RESPONSE = "no-response"


class Deadline(StrEnum):
    """What a task owes by a time of its own."""

    RESPONSE = "response"
    COMPLETION = "completion"


class DueStep(StrEnum):
    """Who is told that something is due: at 80% of its time, at all of it, at half as much again; or as a reminder."""

    OFFICER = "officer"
    HEAD_OF_OFFICE = "head-of-office"
    SUPERVISOR = "supervisor"
    REMINDER = "reminder"


class Outcome(StrEnum):
    """With what a task was completed."""

    GRANTED = "granted"
    REFUSED_AFTER_CHECK = "refused-after-check"
    SERVICE_PROVIDED = "service-provided"
    HAZARD_REMOVED = "hazard-removed"
    ADVICE_GIVEN = "advice-given"
    AGREEMENT_REACHED = "agreement-reached"
    REFERRED_ON = "referred-on"


class Progress(StrEnum):
    """What a department reports of a request while it works on it."""

    PAPERS_CHECKED = "papers-checked"
    RESIDENT_HEARD = "resident-heard"
    PLACE_INSPECTED = "place-inspected"
    WORK_BEGUN = "work-begun"
    DECISION_PENDING = "decision-pending"
    WAITS_FOR_ANOTHER = "waits-for-another"
    LONGER_THAN_PLANNED = "longer-than-planned"


class Decision(StrEnum):
    """What a reviewer decides on a suggested need."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"


class DeferralReason(StrEnum):
    """Whom it protects that a resident is told later who looked."""

    DANGER_TO_LIFE = "danger-to-life"
    DANGER_OF_VIOLENCE = "danger-of-violence"
    CHILD_AT_RISK = "child-at-risk"


class BreakGlassReason(StrEnum):
    """Which emergency is said to need a household's file at once."""

    DANGER_TO_LIFE = "danger-to-life"
    DANGER_OF_VIOLENCE = "danger-of-violence"
    CHILD_AT_RISK = "child-at-risk"
    HAZARD_IN_DWELLING = "hazard-in-dwelling"


class BreakGlassFinding(StrEnum):
    """What a third person found of an emergency access."""

    JUSTIFIED = "justified"
    NOT_JUSTIFIED = "not-justified"


class Action(StrEnum):
    """What was done, in the audit log."""

    RECORD_VISIT = "record-visit"
    ASSERT_FACTS = "assert-facts"
    ASSESS_NEEDS = "assess-needs"
    DECIDE_NEED = "decide-need"
    OPEN_REQUEST = "open-request"
    ADD_PART = "add-part"
    CALL_CONFERENCE = "call-conference"
    ADD_MINUTE = "add-minute"
    READ_MINUTES = "read-minutes"
    TRANSITION_TASK = "transition-task"
    RATE_REQUEST = "rate-request"
    RECALCULATE_DUE = "recalculate-due"
    ANNOUNCE_DUE = "announce-due"
    LIST_LATE = "list-late"
    REMIND_DEPARTMENT = "remind-department"
    ACKNOWLEDGE_CALL = "acknowledge-call"
    LIST_MISSING_PAPERS = "list-missing-papers"
    HAND_IN_ORDER = "hand-in-order"
    FOLLOW_ORDERS = "follow-orders"
    ANSWER_EXTENSION = "answer-extension"
    REPORT_CALL_BACK = "report-call-back"
    LIST_ORDERS = "list-orders"
    RETURN_ORDER = "return-order"
    ASK_EXTENSION = "ask-extension"
    JOIN_ORDERS = "join-orders"
    SEND_NOTICE = "send-notice"
    CHOOSE_NOTICES = "choose-notices"
    ASK_TO_LOOK_AGAIN = "ask-to-look-again"
    LIST_LOOKS = "list-looks"
    ANSWER_LOOK = "answer-look"
    MAKE_COMPLAINT = "make-complaint"
    WITHDRAW_COMPLAINT = "withdraw-complaint"
    LIST_COMPLAINTS = "list-complaints"
    READ_COMPLAINT = "read-complaint"
    ANSWER_COMPLAINT = "answer-complaint"
    REGISTER_KEY = "register-key"
    WITHDRAW_KEY = "withdraw-key"
    CHANGE_ENDPOINT = "change-endpoint"
    READ_FEED_SETTINGS = "read-feed-settings"
    READ_FEED = "read-feed"
    ACKNOWLEDGE_ERASURE = "acknowledge-erasure"
    LIST_UNERASED = "list-unerased"
    SEE_FIGURES = "see-figures"
    PUBLISH_DIRECTORY = "publish-directory"
    TRY_DIRECTORY = "try-directory"
    ACTIVATE_DIRECTORY = "activate-directory"
    EXPLAIN_ROUTE = "explain-route"
    TAKE_REQUEST = "take-request"
    GIVE_REQUEST = "give-request"
    NAME_DEPUTY = "name-deputy"
    ISSUE_NOTICE = "issue-notice"
    ATTACH_DOCUMENT = "attach-document"
    READ_DOCUMENT = "read-document"
    PUBLISH_TEMPLATE = "publish-template"
    READ_RECORD = "read-record"
    READ_FILE = "read-file"
    READ_ASSESSMENT = "read-assessment"
    READ_REQUEST = "read-request"
    LIST_REQUESTS = "list-requests"
    READ_JOURNEY = "read-journey"
    FOLLOW_REQUEST = "follow-request"
    LIST_GAPS = "list-gaps"
    SEARCH_LOG = "search-log"
    EXPORT_LOG = "export-log"
    READ_LIFE = "read-life"
    READ_CONDUCT = "read-conduct"
    DECLARE_TIES = "declare-ties"
    ASK_ABOUT_SUBJECT = "ask-about-subject"
    AGREE_TO_ASK = "agree-to-ask"
    READ_ABOUT_SUBJECT = "read-about-subject"
    SEE_WHO_LOOKED = "see-who-looked"
    ASK_TO_DEFER = "ask-to-defer"
    APPROVE_DEFERRAL = "approve-deferral"
    ERASE_SUBJECT = "erase-subject"
    NAME_EXCLUSIONS = "name-exclusions"
    NAME_PROXY = "name-proxy"
    LEAVE_HOUSEHOLD = "leave-household"
    RECORD_GUARDIAN = "record-guardian"
    SUSPEND_GUARDIAN = "suspend-guardian"
    DRAW_SIGN_IN_CODE = "draw-sign-in-code"
    SIGN_IN = "sign-in"
    LINK_ACCOUNT = "link-account"
    UNLINK_ACCOUNT = "unlink-account"
    BREAK_GLASS = "break-glass"
    LIST_BREAK_GLASS = "list-break-glass"
    ACKNOWLEDGE_BREAK_GLASS = "acknowledge-break-glass"
    REVIEW_BREAK_GLASS = "review-break-glass"
    PROPOSE_PLAN = "propose-plan"
    READ_PLAN_PROPOSAL = "read-plan-proposal"
    DECIDE_PLAN = "decide-plan"
    READ_PLAN = "read-plan"
    RECORD_PLAN_MEETING = "record-plan-meeting"
    LIST_PLAN_DUTIES = "list-plan-duties"
    CONTEST_PLAN = "contest-plan"
    WITHDRAW_FROM_PLAN = "withdraw-from-plan"
    READ_PLAN_CONTEST = "read-plan-contest"
    ANSWER_PLAN_CONTEST = "answer-plan-contest"
    ACTIVATE_POLICY = "activate-policy"
    ACTIVATE_RULES = "activate-rules"
    ACTIVATE_KEYS = "activate-keys"
    BEGIN_KEY_EPOCH = "begin-key-epoch"
    DESTROY_WRAPPING_KEY = "destroy-wrapping-key"
    DESTROY_DATA_KEY = "destroy-data-key"
    LIST_DEAD_LETTERS = "list-dead-letters"
    READ_DEAD_LETTER = "read-dead-letter"
    REPLAY_DEAD_LETTER = "replay-dead-letter"
    REFUSE = "refuse"
    UNREADABLE = "unreadable"
