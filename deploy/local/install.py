"""Install the project into .venv with the standard library alone: hash-pinned libraries first, then our own members."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
LOG = VENV / "install.log"
STAMP = VENV / ".installed"
REPORT_EVERY = 5.0  # seconds between two lines where there is no terminal

NO_NETWORK = (
    "NewConnectionError",
    "Name or service not known",
    "name resolution",
    "ConnectTimeoutError",
    "Max retries exceeded",
    "Network is unreachable",
    "ProxyError",
    "ReadTimeoutError",
    "Could not fetch URL",
)


class InstallFailed(Exception):
    """Installing failed; says why in Chinese and in English."""

    def __init__(self, chinese: str, english: str) -> None:
        super().__init__(f"错误：{chinese}\nError: {english}")


def members() -> list[Path]:
    """Return the folders of the workspace's members."""
    patterns = ("contracts", "kit", "keystore", "services/*", "cli", "deploy/local")
    found = [folder for pattern in patterns for folder in sorted(ROOT.glob(pattern))]
    return [folder for folder in found if (folder / "pyproject.toml").is_file()]


def fingerprint() -> str:
    """Return what the installation depends on, as one digest."""
    digest = hashlib.sha256(f"{ROOT}\n{sys.version}\n".encode())
    for path in (LOCK, *(member / "pyproject.toml" for member in members())):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def say(text: str) -> None:
    """Write one line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Ticker:
    """Shows what happens: rewritten in place on a terminal, a line now and then elsewhere."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began = time.monotonic()
        self._shown = self._began
        self._terminal = sys.stdout.isatty()
        say(title)

    def show(self, text: str) -> None:
        """Show what happens now."""
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write(f"\r\x1b[2K      {text}"[: width + 5])
            sys.stdout.flush()
        elif time.monotonic() - self._shown >= REPORT_EVERY:
            self._shown = time.monotonic()
            say(f"      {text}")

    def done(self) -> None:
        """Show how long it took."""
        lead = "\r\x1b[2K" if self._terminal else ""
        say(f"{lead}      完成 done, {time.monotonic() - self._began:.0f} s")


def run(command: Sequence[str | Path]) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end, its output kept."""
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603


def make_environment() -> None:
    """Make .venv, unless it is there and works; raises InstallFailed."""
    if PYTHON.exists():
        works = run([PYTHON, "-m", "pip", "--version"])
        if works.returncode == 0:
            return
        shutil.rmtree(VENV)
    ticker = Ticker(f"[1/3] 创建虚拟环境 virtual environment .venv (Python {sys.version.split()[0]})")
    made = run([sys.executable, "-m", "venv", VENV])
    if made.returncode != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        said = made.stdout + made.stderr
        if "No space left" in said:
            raise no_space()
        if "ensurepip" in said or "No module named venv" in said:
            version = f"python3.{sys.version_info.minor}"
            raise InstallFailed(
                f"这个 Python 缺少 venv 模块，请先安装（Debian/Ubuntu：apt install {version}-venv）。",
                f"this Python lacks the venv module; install it first (Debian, Ubuntu: apt install {version}-venv).",
            )
        reason = (said.strip().splitlines() or ["?"])[-1]
        raise InstallFailed(f"无法创建 .venv：{reason}。", f".venv cannot be made: {reason}.")
    ticker.done()


def install_libraries() -> None:
    """Install the lock file's libraries; raises InstallFailed."""
    total = len(re.findall(r"^[a-zA-Z0-9]\S*==", LOCK.read_text(encoding="utf-8"), re.MULTILINE))
    ticker = Ticker(f"[2/3] 安装依赖库 libraries (约 about {total})")
    count = 0

    def follow(line: str) -> None:
        nonlocal count
        found = re.match(r"(?:Collecting|Requirement already satisfied:) ([^\s;]+)", line)
        if found:
            count += 1
            ticker.show(f"{count}/{total} {found[1]}")
        elif line.startswith("Installing collected"):
            ticker.show("正在写入 installing …")

    pip(["--require-hashes", "--no-deps", "--only-binary=:all:", "-r", str(LOCK)], follow, ticker.show)
    ticker.done()


def install_members() -> None:
    """Install our own members so that their sources are used in place; raises InstallFailed."""
    ticker = Ticker("[3/3] 安装本项目 doorstep")
    editable = [part for member in members() for part in ("-e", str(member))]

    def follow(line: str) -> None:
        if line.startswith(("Obtaining", "Building", "Installing")):
            ticker.show(line.replace(str(ROOT), "."))

    pip(["--no-deps", "--no-build-isolation", *editable], follow, ticker.show)
    ticker.done()


def pip(arguments: Sequence[str], follow: Callable[[str], None], idle: Callable[[str], None]) -> None:
    """Run pip, its output kept in the log; raises InstallFailed with the reason that a person can act on."""
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar=off"]
    command += ["--retries=2", "--timeout=20", "--no-color", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(  # noqa: S603
        command,
        cwd=ROOT,
        env=environment,
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    lines: list[str] = []
    with LOG.open("a", encoding="utf-8") as log:
        for line in _lines(process, idle):
            log.write(line)
            lines.append(line)
            follow(line)
    if process.wait() != 0:
        raise _failure("".join(lines))


def _lines(process: "subprocess.Popen[str]", idle: Callable[[str], None]) -> Iterator[str]:
    output = process.stdout
    if output is None:
        raise AssertionError("asked for a pipe")
    for line in output:
        if "Retrying" in line:
            idle("网络缓慢，重试中 slow network, trying again …")
        yield line


def no_space() -> InstallFailed:
    """Return the failure of a full disk."""
    return InstallFailed("磁盘已满，请腾出空间后再试。", "the disk is full; make room and try again.")


def _failure(output: str) -> InstallFailed:
    shown = LOG.relative_to(ROOT)
    if "No space left on device" in output:
        return no_space()
    if "THESE PACKAGES DO NOT MATCH THE HASHES" in output:
        return InstallFailed(
            f"下载的软件包与 requirements.lock 中的哈希不符，已中止（日志：{shown}）。",
            f"a downloaded package does not match its hash in requirements.lock; stopped (log: {shown}).",
        )
    if any(sign in output for sign in NO_NETWORK):
        return InstallFailed(
            f"无法连接软件包仓库，请检查网络后再试（日志：{shown}）。",
            f"the package index cannot be reached; check the network and try again (log: {shown}).",
        )
    missing = re.search(r"No matching distribution found for (\S+)", output)
    if missing:
        return InstallFailed(
            f"没有适合本系统和 Python 的 {missing[1]}（日志：{shown}）。",
            f"there is no build of {missing[1]} for this system and Python (log: {shown}).",
        )
    errors = [line for line in output.splitlines() if line.startswith("ERROR")] or output.splitlines() or ["?"]
    return InstallFailed(
        f"安装失败：{errors[-1]}（日志：{shown}）。", f"installing failed: {errors[-1]} (log: {shown})."
    )


def main() -> int:
    """Install what is missing; returns the exit code."""
    try:
        wanted = fingerprint()
        if not (PYTHON.exists() and STAMP.is_file() and STAMP.read_text(encoding="ascii") == wanted):
            make_environment()
            LOG.write_text("", encoding="utf-8")
            install_libraries()
            install_members()
        STAMP.write_text(wanted, encoding="ascii")
    except InstallFailed as failure:
        sys.stderr.write(f"\n{failure}\n")
        return 1
    except OSError as failure:
        sys.stderr.write(f"\n错误：无法写入 {failure.filename}：{failure.strerror}。\n")
        sys.stderr.write(f"Error: {failure.filename} cannot be written: {failure.strerror}.\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\n已中断。 Interrupted.\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
