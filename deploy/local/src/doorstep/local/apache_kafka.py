"""Apache Kafka on this machine's JDK: its jars laid down by Maven once, one KRaft node started and stopped."""

import asyncio
import base64
import contextlib
import hashlib
import os
import shutil
import signal
import socket
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

CHECKOUT = Path(__file__).resolve().parents[5]
SETTINGS = CHECKOUT / "deploy" / "kafka"
CACHE = CHECKOUT / ".cache" / "kafka"
HEAP = "-Xmx512m"
START_SECONDS = 120.0
STOP_SECONDS = 30.0


class KafkaUnavailable(Exception):
    """Apache Kafka cannot run here; the message says what is missing, in one sentence."""


def missing() -> str | None:
    """What this machine lacks to run Apache Kafka, as a sentence, or None where nothing is missing."""
    absent = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if absent:
        return f"Apache Kafka needs {' and '.join(absent)} on the path (a JDK 17 or later, and Maven)."
    if not (SETTINGS / "pom.xml").exists():
        return "Apache Kafka is started from a checkout only: deploy/kafka/pom.xml is not here."
    return None


async def jars() -> Path:
    """The folder with Apache Kafka's jars, filled by Maven the first time; raises KafkaUnavailable.

    The folder is named after the digest of the pom, so another version gets another folder; it is filled aside and
    renamed, so that a broken download leaves nothing half done.
    """
    if reason := missing():
        raise KafkaUnavailable(reason)
    pom = SETTINGS / "pom.xml"
    folder = CACHE / hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    if folder.exists():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as aside:
        await _call("mvn", "-B", "-q", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={aside}/jars")
        with contextlib.suppress(FileExistsError, OSError):  # another process was first
            (Path(aside) / "jars").rename(folder)
    return folder


@contextlib.asynccontextmanager
async def running_kafka(data_dir: Path, port: int | None = None) -> AsyncIterator[str]:
    """Run one Apache Kafka node on 127.0.0.1 and yield its bootstrap address `host:port`.

    `data_dir` is made if absent and keeps the topics: a second start finds them. Without `port` a free one is taken.
    Leaving stops the node by SIGTERM and waits for it. Raises KafkaUnavailable.
    """
    folder = await jars()
    port = port or _free_port()
    if _listening(f"127.0.0.1:{port}"):
        raise KafkaUnavailable(f"Port {port} is taken: Apache Kafka cannot listen there.")
    properties = _write_properties(data_dir, port)
    classpath = f"{folder}/*"
    if not (data_dir / "topics" / "meta.properties").exists():
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        await _call(
            "java",
            "-Xmx256m",
            "-cp",
            classpath,
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={cluster}",
            f"--config={properties}",
        )
    log = data_dir / "broker.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            "java",
            HEAP,
            "-XX:+UseSerialGC",
            f"-Dlog4j2.configurationFile={SETTINGS / 'log4j2.yaml'}",
            "-cp",
            classpath,
            "kafka.Kafka",
            str(properties),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        await _answering(f"127.0.0.1:{port}", process, log)
        yield f"127.0.0.1:{port}"
    finally:
        await _stop(process)


def _write_properties(data_dir: Path, port: int) -> Path:
    data_dir.mkdir(parents=True, exist_ok=True)
    controller = _free_port()
    lines = [
        (SETTINGS / "server.properties").read_text(encoding="utf-8"),
        f"controller.quorum.voters=1@127.0.0.1:{controller}",
        f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}",
        f"log.dirs={data_dir / 'topics'}",
    ]
    path = data_dir / "server.properties"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def _call(*command: str | Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode:
        last = output.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
        raise KafkaUnavailable(f"{Path(command[0]).name} failed: {last[0]}")


async def _answering(bootstrap: str, process: asyncio.subprocess.Process, log: Path) -> None:
    """Wait until the node answers a metadata request, or raise KafkaUnavailable."""
    try:
        async with asyncio.timeout(START_SECONDS):
            while process.returncode is None:
                if _listening(bootstrap) and await _serving(bootstrap):
                    return
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise KafkaUnavailable(f"Apache Kafka did not answer in {START_SECONDS:.0f} s; see {log}.") from None
    raise KafkaUnavailable(f"Apache Kafka ended at once with code {process.returncode}; see {log}.")


def _listening(bootstrap: str) -> bool:
    host, port = bootstrap.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


async def _serving(bootstrap: str) -> bool:
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    try:
        await client.bootstrap()
    except KafkaError:
        return False
    else:
        return True
    finally:
        await client.close()


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
