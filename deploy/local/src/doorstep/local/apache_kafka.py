"""Apache Kafka on this machine's JDK: its jars laid down by Maven once, one KRaft node started and stopped."""

import asyncio
import base64
import contextlib
import datetime
import ipaddress
import socket
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import CreateAclsRequest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from doorstep.contracts.access import GROUP, TOPIC, Right, made_topics, rights
from doorstep.local import jdk
from doorstep.local.jdk import ProgramUnavailable
from doorstep.local.ports import free_ports

PROGRAM = "Apache Kafka"
SETTINGS = jdk.CHECKOUT / "deploy" / "kafka"
POM = SETTINGS / "pom.xml"
HEAP = "-Xmx512m"
START_SECONDS = 120.0
SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


_OPERATIONS = {"Read": 3, "Write": 4, "Describe": 8}
_RESOURCES = {TOPIC: 2, GROUP: 3}
_LITERAL, _PREFIXED, _ALLOW = 3, 4, 3
_CHAIN = "-----BEGIN CERTIFICATE-----"
_DAY = datetime.timedelta(days=1)


def missing() -> str | None:
    """What this machine lacks to run Apache Kafka, as a sentence, or None where nothing is missing."""
    return jdk.missing(PROGRAM, POM)


@contextlib.asynccontextmanager
async def running_kafka(
    data_dir: Path,
    port: int | None = None,
    *,
    users: Mapping[str, str] | None = None,
    clients: int | None = None,
    certificate: Path | None = None,
) -> AsyncIterator[str]:
    """Run one Apache Kafka node on 127.0.0.1 and yield its bootstrap address `host:port`.

    `data_dir` is made if absent and keeps the topics: a second start finds them. Without `port` a free one is taken.
    With `users` (name to password) whoever comes to that address is super user, as in docker-compose.yml; on the port
    `clients` the users sign in by SCRAM-SHA-512 and may do what they are granted, over TLS with a `certificate` (key
    and chain in one file). They are made with `data_dir`.
    Leaving stops the node by SIGTERM and waits for it. Raises ProgramUnavailable.
    """
    folder = await jdk.fetched(PROGRAM, POM, "copy-dependencies")
    port = port or free_ports(1)[0]
    if _listening(f"127.0.0.1:{port}"):
        raise ProgramUnavailable(f"Port {port} is taken: Apache Kafka cannot listen there.")
    properties = _write_properties(data_dir, port, clients, certificate)
    classpath = f"{folder}/*"
    if not (data_dir / "topics" / "meta.properties").exists():
        await _format(classpath, properties, users or {})
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
        await jdk.stop(process)


@contextlib.asynccontextmanager
async def kafka_with_rights(data_dir: Path, *, certificate: Path | None = None) -> AsyncIterator[tuple[str, Path]]:
    """Run one node with all topics, users and rights of the tables, which knows no super user but on its own listener.

    Yields the address at which users sign in, over TLS with a `certificate`, and a folder with the password of
    each in a file of their name.
    """
    [port] = free_ports(1)
    secrets = data_dir / "secrets"
    secrets.mkdir(parents=True, mode=0o700)
    users = {user: f"{user}-password" for user in rights()}
    for user, password in users.items():
        (secrets / user).write_text(f"{password}\n", encoding="utf-8")
    async with running_kafka(data_dir, users=users, clients=port, certificate=certificate) as bootstrap:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(one.name, one.partitions, 1) for one in made_topics()])
            for user, some in rights().items():
                for right in some:
                    await _grant(admin, user, right)
        finally:
            await admin.close()
        yield f"127.0.0.1:{port}", secrets


async def _grant(admin: AIOKafkaAdminClient, user: str, right: Right) -> None:
    """Grant a right as kafka-acls does. Raises ProgramUnavailable."""
    pattern = _PREFIXED if right.prefixed else _LITERAL
    for one in right.operations:
        request = CreateAclsRequest(
            _RESOURCES[right.resource], right.name, pattern, f"User:{user}", "*", _OPERATIONS[one], _ALLOW
        )
        answer = await admin._send_request(request)  # noqa: SLF001 — the client offers no way to name a principal
        if any(code for code, _ in answer.creation_responses):
            raise ProgramUnavailable(f"Apache Kafka did not grant {user} {one} on {right.name}.")


async def _format(classpath: str, properties: Path, users: Mapping[str, str]) -> None:
    """Make the node's folder, with the users that sign in at it."""
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    made = [f"--add-scram=SCRAM-SHA-512=[name={name},password={password}]" for name, password in users.items()]
    tool = ("java", "-Xmx256m", "-cp", classpath, "kafka.tools.StorageTool", "format")
    await jdk.call(*tool, f"--cluster-id={cluster}", f"--config={properties}", *made)


def certify(folder: Path) -> tuple[Path, Path]:
    """Make a key and its certificate for 127.0.0.1, valid for a day: the broker's file, and the one clients trust."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + _DAY)
    certified = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    public = certified.public_bytes(serialization.Encoding.PEM)
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "broker.pem").write_bytes(private + public)
    (folder / "trusted.pem").write_bytes(public)
    return folder / "broker.pem", folder / "trusted.pem"


def _write_properties(data_dir: Path, port: int, clients: int | None, certificate: Path | None) -> Path:
    data_dir.mkdir(parents=True, exist_ok=True)
    controller = free_ports(1)[0]
    lines = [
        (SETTINGS / "server.properties").read_text(encoding="utf-8"),
        f"controller.quorum.voters=1@127.0.0.1:{controller}",
        f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}",
        f"log.dirs={data_dir / 'topics'}",
    ]
    if clients is not None:
        protocol = "SASL_PLAINTEXT" if certificate is None else "SASL_SSL"
        lines += [
            f"listeners=PLAINTEXT://127.0.0.1:{port},CLIENTS://127.0.0.1:{clients},CONTROLLER://127.0.0.1:{controller}",
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{port},CLIENTS://127.0.0.1:{clients}",
            f"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CLIENTS:{protocol},CONTROLLER:PLAINTEXT",
            "listener.name.clients.sasl.enabled.mechanisms=SCRAM-SHA-512",
            f"listener.name.clients.scram-sha-512.sasl.jaas.config={SCRAM_LOGIN}",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:ANONYMOUS",
        ]
    if certificate is not None:
        lines += [
            "listener.name.clients.ssl.keystore.type=PEM",
            *_in_lines(certificate.read_text(encoding="utf-8")),
        ]
    path = data_dir / "server.properties"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _in_lines(pem: str) -> Iterator[str]:
    """A key and its chain as settings of the broker's."""
    end = pem.index(_CHAIN)
    for name, part in (("key", pem[:end]), ("certificate.chain", pem[end:])):
        yield f"listener.name.clients.ssl.keystore.{name}={part.strip()}".replace("\n", "\\n")


async def _answering(bootstrap: str, process: asyncio.subprocess.Process, log: Path) -> None:
    """Wait until the node answers a metadata request, or raise ProgramUnavailable."""
    try:
        async with asyncio.timeout(START_SECONDS):
            while process.returncode is None:
                if _listening(bootstrap) and await _serving(bootstrap):
                    return
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise ProgramUnavailable(f"Apache Kafka did not answer in {START_SECONDS:.0f} s; see {log}.") from None
    raise ProgramUnavailable(f"Apache Kafka ended at once with code {process.returncode}; see {log}.")


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
