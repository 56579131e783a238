# The flow image: flow pod, Dask scheduler and Dask workers, with the code as its last and smallest layers. Server, worker
# and operator have a file of their own, Dockerfile.platform, so that a change of a flow leaves them alone. Needs BuildKit,
# and a base image that has the version PYTHON as `python3`, with its venv module. There is no `syntax` line: it would fetch a frontend
# from a registry. Nothing here needs a newer BuildKit than that of Docker 20.10, as Debian 12 has it: no COPY --link.
#
# The build context is not the repository: every preview and update assembles it in .build/<stack>/<image> from what the
# settings name (infra/components/build_context.py). The code is in its folder app/.
ARG BASE=python:3.11-slim-bookworm


FROM ${BASE} AS uv
# ca.crt: certificates of a network that re-signs HTTPS, as a pattern, because on an ordinary network there are none.
COPY requirements/uv.txt ca.cr[t] /build/
RUN --mount=type=cache,target=/root/.cache \
    if [ -s /build/ca.crt ]; then export SSL_CERT_FILE=/build/ca.crt PIP_CERT=/build/ca.crt; fi; \
    python3 -m venv /build/uv && /build/uv/bin/pip install --quiet --require-hashes --requirement /build/uv.txt


FROM uv AS flow-packages
ARG EXTRA_INDEX=
ARG PYTHON=3.11
COPY requirements/flows.txt /build/
# Secret `netrc`: logins of package indexes, by host. Any other of the stack's `image.buildSecrets` is mounted like it.
RUN --mount=type=cache,target=/root/.cache \
    --mount=type=secret,id=netrc,target=/run/netrc,required=false \
    if [ -s /build/ca.crt ]; then export SSL_CERT_FILE=/build/ca.crt; fi; \
    if [ -s /run/netrc ]; then export NETRC=/run/netrc; fi; \
    if [ -n "${EXTRA_INDEX}" ]; then export UV_EXTRA_INDEX_URL="${EXTRA_INDEX}"; fi; \
    python3 -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '${PYTHON}')" || { \
        echo "The base image has another Python than ${PYTHON}: set image.flow.python or image.flow.base" >&2; exit 1; \
    }; \
    python3 -m venv --without-pip /opt/venv && /build/uv/bin/uv pip install --quiet --python /opt/venv/bin/python \
        --require-hashes --compile-bytecode --link-mode copy --requirement /build/flows.txt


FROM uv AS package
COPY package /build/package
# Offline: uv is its own build backend, and the locked packages are the dependencies.
RUN python3 -m venv --without-pip /opt/venv && /build/uv/bin/uv pip install --quiet --offline --no-cache --no-deps \
        --python /opt/venv/bin/python --prefix /build/site --compile-bytecode --link-mode copy /build/package


FROM ${BASE} AS runtime
# A passwd entry: dask-kubernetes and others ask for the user's name. Every pod mounts something writable at /tmp; the
# rest of the file system is read-only there.
RUN echo 'app:x:10001:10001::/tmp:/usr/sbin/nologin' >> /etc/passwd && echo 'app:x:10001:' >> /etc/group
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app:/app/src \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    PREFECT_HOME=/tmp/prefect
USER 10001:10001
WORKDIR /app


FROM runtime AS flow
ARG APT_PACKAGES=
USER root
RUN if [ -n "${APT_PACKAGES}" ]; then \
        apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends ${APT_PACKAGES} \
        && rm -rf /var/lib/apt/lists/* /var/cache/apt/*; \
    fi
USER 10001:10001
COPY --from=flow-packages /opt/venv /opt/venv
COPY --from=package /build/site/lib /opt/venv/lib
COPY app /app
