"""Refusals about orders of the hotline: a branch of the tree in `errors`.

Refusal
└── OrderRefused
    ├── OrderUnknown          no such order, or not one the caller may know of
    ├── OrderWithheld         its hotline was answered for good when it was received
    ├── OrderReturned         it was returned
    ├── OrderAccepted         a request that answers it was accepted
    ├── ReturnTooLate         the time for a return has passed
    ├── OrderOverdue          its due time has passed
    ├── TermRefused           the time asked for is not later, or too late
    ├── ExtensionPending      the hotline has not answered what was asked before
    ├── NoMoreExtensions      it was asked for as often as may be
    ├── ExtensionNotNow       one of these two, to a department, which learns not which
    ├── ExtensionUnknown      nobody asked for this
    ├── ExtensionAnswered     it was answered otherwise
    ├── OrderNotClosed        nobody is called back of what is not closed
    ├── CallBackGiven         the call-back of this closing was reported
    └── NotOneMatter          the orders are not of one person, or have no open request in common
"""

from doorstep.referral.errors import Refusal


class OrderRefused(Refusal):
    """An order does not let this be done."""


class OrderUnknown(OrderRefused):
    """There is no such order for this caller."""


class OrderWithheld(OrderRefused):
    """Of this order its hotline is told nothing more, so that there is nothing to agree on with it."""


class OrderReturned(OrderRefused):
    """The order was returned."""


class OrderAccepted(OrderRefused):
    """A department accepted what the order asks for."""


class ReturnTooLate(OrderRefused):
    """The time in which an order is returned has passed."""


class OrderOverdue(OrderRefused):
    """More time is asked for before an order is due."""


class TermRefused(OrderRefused):
    """The time that is asked for is not after the due time, or more than a year after it."""


class ExtensionPending(OrderRefused):
    """The hotline has not answered what was asked before."""


class NoMoreExtensions(OrderRefused):
    """More time was asked for as often as may be."""


class ExtensionNotNow(OrderRefused):
    """No more time is asked for now; a department is not told who asked before, or how often."""


class ExtensionUnknown(OrderRefused):
    """Nobody asked for this extension."""


class ExtensionAnswered(OrderRefused):
    """The extension was answered otherwise."""


class OrderNotClosed(OrderRefused):
    """The order is not closed."""


class CallBackGiven(OrderRefused):
    """The call-back of this closing was reported."""


class NotOneMatter(OrderRefused):
    """The orders are not known to be of one person, or nothing that both ask for is open."""
