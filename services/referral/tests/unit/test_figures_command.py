"""What `doorstep figures` says without a server, and what it writes with one."""

import asyncio
import threading

import pytest
import typer
from aiohttp import web
from typer.testing import CliRunner

from doorstep.local.ports import free_ports
from doorstep.referral.commands.routes import figures

application = typer.Typer()
application.command()(figures)
MONTHS = ("--from", "2026-01", "--to", "2026-09")


def run(*arguments):
    answer = CliRunner().invoke(application, [str(one) for one in arguments], env={"DOORSTEP_TOKEN": ""})
    assert "Traceback" not in answer.output
    return answer.exit_code, answer.output


@pytest.fixture
def asked():
    """A front door that answers months it likes, and what it was asked."""
    found, (port,), ready = [], free_ports(1), threading.Event()
    loop = asyncio.new_event_loop()

    async def answer(request):
        found.append((request.path_qs, request.headers["Doorstep-Purpose"], request.headers["Authorization"]))
        if request.query["to"] == "2026-09":
            return web.Response(body=b"%PDF-1.4")
        problem = {"detail": "有误", "errors": [{"pointer": "/query/to", "detail": "月份"}]}
        return web.json_response(problem, status=422)

    async def serve():
        app = web.Application()
        app.router.add_get("/api/{rest:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        ready.set()
        return runner

    def work():
        runner = loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait(10)
    yield f"http://127.0.0.1:{port}", found
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def test_the_file_is_what_the_front_door_answers(asked, tmp_path) -> None:
    (url, found), out = asked, tmp_path / "figures.pdf"
    code, said = run(*MONTHS, "--as", "pdf", "--out", out, "--token", "t", "--url", url)
    assert (code, out.read_bytes()) == (0, b"%PDF-1.4")
    assert "8 bytes" in said
    assert found == [("/api/figures.pdf?from=2026-01&to=2026-09", "follow-up", "Bearer t")]


def test_what_is_refused_is_told_and_nothing_is_written(asked, tmp_path) -> None:
    (url, _), out = asked, tmp_path / "figures.xlsx"
    code, said = run("--from", "2026-01", "--to", "2099-01", "--out", out, "--token", "t", "--url", url)
    assert code == 1
    assert "422" in said
    assert "/query/to" in said
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "code"),
    [(("--token", ""), 2), (("--token", "t", "--as", "doc"), 2), (("--token", "t", "--url", "http://127.0.0.1:9"), 1)],
    ids=["no-token", "no-form", "nobody-there"],
)
def test_a_wrong_call_is_one_error(tmp_path, more, code) -> None:
    assert run(*MONTHS, "--out", tmp_path / "figures", *more)[0] == code
    assert not (tmp_path / "figures").exists()


def test_what_cannot_be_written_is_told(asked, tmp_path) -> None:
    code, said = run(*MONTHS, "--out", tmp_path / "no" / "figures", "--token", "t", "--url", asked[0])
    assert code == 1
    assert "cannot be written" in said
