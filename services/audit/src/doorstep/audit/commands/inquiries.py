"""An auditor's commands about one person: ask, agree as the second, read what the log has. 查询某一居民的日志条目。"""

from typing import Annotated, Any
from uuid import UUID

import typer
from uuid_utils.compat import uuid7

from doorstep.audit.commands.answers import application, print_json
from doorstep.audit.commands.asking import Desk, JsonOption, TokenFileOption, TokenOption, UrlOption, at_desk
from doorstep.audit.commands.table import show_entries

CommandOption = Annotated[
    UUID | None, typer.Option("--id", help="The id of this command, to send the same once more 命令编号.")
]
InquiryArgument = Annotated[UUID, typer.Argument(help="The inquiry's id, which `ask` tells 查询编号.")]


@application.command()
def ask(
    subject: Annotated[UUID, typer.Argument(help="The person's id, as on their receipt 居民回执上的编号.")],
    url: UrlOption,
    complaint: Annotated[
        bool, typer.Option(help="The person complained: type the follow code that they gave 居民本人要求，输入查询码.")
    ] = False,
    command_id: CommandOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask about one person, on their complaint or for a second auditor to agree. 申请查询某一居民的条目。

    It is logged under the person. With --complaint the follow code is asked for and not shown; it opens the inquiry for
    seven days. Without it another auditor has seven days to agree.

    Examples:

      doorstep audit ask 0f2d6c1e-... --url http://127.0.0.1:8600/api/log --complaint --token-file auditor.token

      doorstep audit ask 0f2d6c1e-... --url ... --token-file auditor.token
    """
    body = {"id": str(command_id or uuid7()), "subject_id": str(subject)}
    if complaint:
        body["follow_code"] = typer.prompt("查询码 Follow code", hide_input=True, err=True)
    _tell(at_desk(url, token, token_file, as_json, lambda desk: desk.ask("POST", "inquiries", body=body)), as_json)


@application.command()
def agree(
    inquiry: InquiryArgument,
    url: UrlOption,
    command_id: CommandOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Agree to another auditor's inquiry, as the second. 作为第二名审计员同意查询。

    It is logged under the person. Whoever asked cannot agree. The agreement lapses after seven days.

    Examples:

      doorstep audit agree 01981f6e-... --url http://127.0.0.1:8600/api/log --token-file second.token
    """
    body, path = {"id": str(command_id or uuid7())}, f"inquiries/{inquiry}/agreement"
    _tell(at_desk(url, token, token_file, as_json, lambda desk: desk.ask("POST", path, body=body)), as_json)


@application.command()
def about(
    inquiry: InquiryArgument,
    url: UrlOption,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the entries about the person of one's own inquiry, in order. 查看所申请居民的条目。

    It is logged under the person. Somebody who was erased has no entries.

    Examples:

      doorstep audit about 01981f6e-... --url http://127.0.0.1:8600/api/log --token-file auditor.token --json
    """

    async def work(desk: Desk) -> list[dict[str, Any]]:
        return await desk.everything(f"inquiries/{inquiry}/entries", {"limit": "1000"}, lambda _: None)

    entries = at_desk(url, token, token_file, as_json, work)
    if as_json:
        print_json({"inquiry_id": str(inquiry), "entries": entries})
        return
    show_entries(entries)
    typer.echo(f"{len(entries)} 条。\n{len(entries)} entries.")


def _tell(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    chinese = {"waiting": "等待第二名审计员同意", "open": "可以查看"}.get(told["standing"], told["standing"])
    typer.echo(f"查询 {told['inquiry_id']}：{chinese}，截至 {told['until']}。")
    typer.echo(f"Inquiry {told['inquiry_id']}: {told['standing']}, until {told['until']}.")
