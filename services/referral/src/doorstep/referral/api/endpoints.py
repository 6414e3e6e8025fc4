"""Where a department has its messages posted: one endpoint, its state, and what is to be sent again."""

from datetime import UTC, datetime

from fastapi import APIRouter

from doorstep.contracts.codes import Action, Department
from doorstep.kit.auth import Principal
from doorstep.kit.policy import Resource
from doorstep.kit.service import PrincipalDep, Service, ServiceDep, SessionDep, Visibility, attempts, visible_to
from doorstep.referral import views
from doorstep.referral.operations import endpoints
from doorstep.referral.operations.access import Access
from doorstep.referral.schemas import EndpointBody, EndpointSecret, EndpointView, ReplayBody
from doorstep.referral.settings import webhooks_inside

router = APIRouter(prefix="/api/departments/{department}/endpoint", tags=["feeds"])


@router.put("")
@attempts(Action.CHANGE_ENDPOINT)
@visible_to(Visibility.DEPARTMENT)
async def put_endpoint(
    department: Department, body: EndpointBody, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> EndpointSecret:
    """Have the feed posted to an address; the answer has the secret of its signatures, which is not shown again.

    Asked again, it gives a new secret and goes on where it was, also after a pause; the secret before it signs beside
    it for a day.
    """
    access = _access(service, principal, department)
    secret = await endpoints.register_endpoint(
        session,
        vault=service.vault,
        access=access,
        department=department,
        url=body.url,
        inside=webhooks_inside(service),
        now=datetime.now(UTC),
    )
    return EndpointSecret(url=body.url, secret=secret)


@router.get("")
@attempts(Action.READ_FEED_SETTINGS)
@visible_to(Visibility.DEPARTMENT)
async def read_endpoint(
    department: Department, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> EndpointView:
    """The department's endpoint, how it is doing, and the messages that it refused for good."""
    service.policy.authorize(principal, "read-feed-settings", Resource("endpoint", department=department))
    return views.endpoint(await endpoints.find_endpoint(session, department))


@router.post("/removal")
@attempts(Action.CHANGE_ENDPOINT)
@visible_to(Visibility.DEPARTMENT)
async def remove(
    department: Department, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> dict[str, str]:
    """Have nothing posted any more; the secret is deleted."""
    access = _access(service, principal, department)
    await endpoints.remove_endpoint(session, vault=service.vault, access=access, department=department)
    return {}


@router.post("/replays")
@attempts(Action.CHANGE_ENDPOINT)
@visible_to(Visibility.DEPARTMENT)
async def replay(
    department: Department, body: ReplayBody, service: ServiceDep, principal: PrincipalDep, session: SessionDep
) -> EndpointView:
    """Have all messages from a time on posted again, under the same ids; an endpoint that was paused goes on."""
    access = _access(service, principal, department)
    await endpoints.replay_webhooks(
        session, vault=service.vault, access=access, department=department, since=body.since
    )
    return views.endpoint(await endpoints.find_endpoint(session, department))


def _access(service: Service, principal: Principal, department: Department) -> Access:
    """Whoever may change the endpoint. Raises Forbidden."""
    resource = Resource("endpoint", department=department)
    allowed = service.policy.authorize(principal, "change-endpoint", resource)
    return Access(principal, policies=allowed.policies)
