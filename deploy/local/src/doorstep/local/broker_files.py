"""What a real Kafka is set up with, written from the tables of topics and rights: for Strimzi, and as a shell script.

`doorstep schemas` writes the files, and checks them with `--check`.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

from doorstep.contracts.access import GROUP, Right, made_topics, rights
from doorstep.contracts.yaml_text import to_yaml

FOLDER = Path("deploy/kafka/generated")
CLUSTER = "doorstep"
_API = "kafka.strimzi.io/v1"
_DAY_MS = 86_400_000
_REPLICAS = 3
_IN_SYNC = 2
_SCRIPT = """\
#!/bin/bash
# Makes topics, users and rights on a broker. Generated from the tables of topics and rights by `doorstep schemas`.
# In the environment: BOOTSTRAP, a listener on which one is super user, and PASSWORD_<USER> of each user to be made.
# May be run again: what is there stays, passwords are set anew.
set -euo pipefail
cd /opt/kafka/bin
topic() { ./kafka-topics.sh --bootstrap-server "$BOOTSTRAP" --create --if-not-exists --topic "$1" --partitions "$2" \\
  --config "retention.ms=$3"; }
user() {
  local password="PASSWORD_${1//-/_}"
  password="${password^^}"
  [ -z "${!password:-}" ] || ./kafka-configs.sh --bootstrap-server "$BOOTSTRAP" --alter --entity-type users \\
    --entity-name "$1" --add-config "SCRAM-SHA-512=[password=${!password}]"
}
allow() {
  local user="$1"
  shift
  ./kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --add --allow-principal "User:$user" "$@"
}

"""


def broker_files() -> dict[str, str]:
    """Every generated file by its name."""
    return {"topics.yaml": _documents(_topics()), "users.yaml": _documents(_users()), "rights.sh": script()}


def _topics() -> list[dict[str, Any]]:
    return [
        _resource(
            "KafkaTopic",
            topic.name,
            {
                "partitions": topic.partitions,
                "replicas": _REPLICAS,
                "config": {"retention.ms": topic.retention_days * _DAY_MS, "min.insync.replicas": _IN_SYNC},
            },
        )
        for topic in made_topics()
    ]


def _users() -> list[dict[str, Any]]:
    return [
        _resource(
            "KafkaUser",
            user,
            {
                "authentication": {"type": "scram-sha-512"},
                "authorization": {"type": "simple", "acls": [_acl(right) for right in granted]},
            },
        )
        for user, granted in rights().items()
    ]


def _acl(right: Right) -> dict[str, Any]:
    pattern = "prefix" if right.prefixed else "literal"
    return {
        "resource": {"type": right.resource, "name": right.name, "patternType": pattern},
        "operations": list(right.operations),
        "host": "*",
    }


def _resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    labels = {"strimzi.io/cluster": CLUSTER}
    return {"apiVersion": _API, "kind": kind, "metadata": {"name": name, "labels": labels}, "spec": spec}


def _documents(documents: list[dict[str, Any]]) -> str:
    return "---\n".join(to_yaml(document) for document in documents)


def script() -> str:
    """The shell script that sets up one broker: what is granted together is one call."""
    lines = [f"topic {topic.name} {topic.partitions} {topic.retention_days * _DAY_MS}" for topic in made_topics()]
    for user, granted in rights().items():
        lines.append(f"user {user}")
        together: dict[tuple[str, bool, tuple[str, ...]], list[str]] = defaultdict(list)
        for right in granted:
            together[right.resource, right.prefixed, right.operations].append(right.name)
        for (resource, prefixed, operations), names in together.items():
            words = [f"allow {user}", *(f"--operation {one}" for one in operations)]
            words += ["--resource-pattern-type prefixed"] if prefixed else []
            words += [f"--{'group' if resource == GROUP else 'topic'} {name}" for name in names]
            lines.append(" ".join(words))
    return _SCRIPT + "\n".join(lines) + "\n"
