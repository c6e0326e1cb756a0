#!/bin/sh
# Installs the project's dependencies into /venv from the file that lists them.
#   REQUIREMENTS  the path below /deps: uv.lock, pyproject.toml or a requirements file
#   PIP           extra packages
set -eu
cd /deps
python -m venv --without-pip /venv
pip() { uv pip install --quiet --python /venv/bin/python "$@"; }

case $REQUIREMENTS in
*uv.lock) (cd "$(dirname "$REQUIREMENTS")" && uv sync --quiet --frozen --no-dev --no-install-project) ;;
*) pip -r "$REQUIREMENTS" ;;
esac
if [ -n "$PIP" ]; then
    # shellcheck disable=SC2086
    pip $PIP
fi
# Portside runs the application with Gunicorn, which a project needn't require itself.
/venv/bin/python -c 'import gunicorn' 2>/dev/null || pip gunicorn
