"""Why a local stack cannot start or go on.

Refusal
└── StackFailed
    ├── PortTaken              another program listens there
    ├── FolderInUse            another stack runs on this data folder
    ├── FolderUnusable         the data folder cannot be made, written or entered
    ├── DiskFull               no room left
    ├── EngineFailed           PostgreSQL or the broker does not start, or ended
    ├── ExternalUnreachable    the engine named by the caller does not answer
    ├── ServiceFailed          a service ended by itself, or is not ready in time
    └── MigrationFailed        a database could not be brought up to date
"""

from pathlib import Path

from doorstep.cli.failures import Refusal


class StackFailed(Refusal):
    """The stack cannot start, or cannot go on."""


class PortTaken(StackFailed):
    """Another program listens on the port that was asked for."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"端口 {port} 已被其他程序占用，请用 --port 换一个端口。",
            f"Port {port} is taken by another program; choose another with --port.",
            exit_code=2,
        )


class FolderInUse(StackFailed):
    """Another stack runs on this data folder."""

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(
            f"数据目录 {folder} 正被另一套运行中的服务使用（进程 {holder}），请先停止它，或用 --data 指定其他目录。",
            f"The data folder {folder} is in use by another stack (process {holder}); "
            "stop that one or choose another folder with --data.",
            exit_code=2,
        )


class FolderUnusable(StackFailed):
    """The data folder cannot be made, written or entered."""

    def __init__(self, folder: Path, cause: OSError) -> None:
        reason = cause.strerror or str(cause)
        super().__init__(
            f"数据目录 {folder} 无法写入（{reason}），请用 --data 指定一个可写的目录。",
            f"The data folder {folder} cannot be written ({reason}); choose a writable one with --data.",
            exit_code=2,
        )


class DiskFull(StackFailed):
    """No room is left on the disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} 所在磁盘已满，请腾出空间后再试。",
            f"The disk that holds {folder} is full; make room and try again.",
        )


class EngineFailed(StackFailed):
    """PostgreSQL or the broker does not start, or ended by itself."""

    def __init__(self, engine: str, reason: str, log: Path) -> None:
        super().__init__(
            f"{engine} 无法运行：{reason}（日志：{log}）。",
            f"{engine} does not run: {reason} (log: {log}).",
        )


class ExternalUnreachable(StackFailed):
    """The engine that the caller named does not answer, or refuses."""

    def __init__(self, engine: str, address: str, reason: str) -> None:
        super().__init__(
            f"无法连接 {address} 上的 {engine}：{reason}。",
            f"{engine} at {address} cannot be used: {reason}.",
            exit_code=2,
        )


class ServiceFailed(StackFailed):
    """A service ended by itself, or is not ready in time."""

    def __init__(self, service: str, what: str, last_line: str, log: Path) -> None:
        self.service = service
        chinese = {"ended": "意外退出", "late": "未能按时就绪"}[what]
        english = {"ended": "ended by itself", "late": "was not ready in time"}[what]
        super().__init__(
            f"服务 {service} {chinese}，最后一行日志：{last_line}（日志：{log}）。",
            f"The service {service} {english}; its last log line: {last_line} (log: {log}).",
        )


class MigrationFailed(StackFailed):
    """A database could not be brought up to date."""

    def __init__(self, database: str, cause: Exception) -> None:
        reason = (str(cause).splitlines() or [type(cause).__name__])[0]
        super().__init__(
            f"数据库 {database} 无法升级：{reason}。",
            f"The database {database} cannot be brought up to date: {reason}.",
        )
