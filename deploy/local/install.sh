#!/bin/sh
# Finds a Python of 3.11 or later and lets it install the project into .venv; PYTHON=/path/to/python chooses one.
set -eu
cd "$(dirname "$0")/../.."

fits() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

for candidate in ${PYTHON:-.venv/bin/python python3.13 python3.12 python3.11 python3.14 python3 python}; do
    if fits "$candidate"; then
        exec "$candidate" deploy/local/install.py
    fi
done

if [ -n "${PYTHON:-}" ]; then
    echo "错误：${PYTHON} 不是可用的 Python 3.11 或更高版本。" >&2
    echo "Error: ${PYTHON} is no usable Python 3.11 or later." >&2
else
    echo "错误：找不到 Python 3.11 或更高版本，请先安装，或用 make PYTHON=/路径/python3.12 指定。" >&2
    echo "Error: no Python 3.11 or later was found; install one, or name it with make PYTHON=/path/to/python3.12." >&2
fi
exit 2
