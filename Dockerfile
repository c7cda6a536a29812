# The gateway with its bundled tool. Any builder takes this file: docker with or without BuildKit, podman, buildah.
#
#   docker build --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" --tag streamlit-gateway .
#
# For a release, pin the base by digest: --build-arg PYTHON_IMAGE=docker.io/library/python:3.13-slim@sha256:...
# How to run it, and what must be mounted: docs/operator.md; a hardened example: deploy/compose.yaml.
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim

# --- dependencies: what the lock files name, in /opt/venv; the tools that put it there stay behind ---
FROM ${PYTHON_IMAGE} AS dependencies
ENV PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements/build.txt requirements/runtime.txt requirements/
# Bytecode is made here, once: the running container cannot write any. It is bound to its source by content, not by
# a time stamp, and never checked again: under a read-only root nobody changes the source.
RUN python3 -m venv /opt/tools \
 && python3 -m venv --without-pip /opt/venv \
 && /opt/tools/bin/python -m pip install --require-hashes --requirement requirements/build.txt \
 && /opt/tools/bin/python -m pip --python /opt/venv/bin/python install --no-compile --require-hashes --requirement requirements/runtime.txt \
 && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

# --- package: everything of ours under /files, as it will lie under / . A release that only changes our code
# --- leaves the big layer above as it is.
FROM dependencies AS package
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
RUN /opt/tools/bin/python -m pip wheel --no-deps --no-build-isolation --no-index --wheel-dir dist . \
 && /opt/tools/bin/python -m pip --python /opt/venv/bin/python install --no-compile --no-deps --no-index --root /files dist/*.whl \
 && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /files /files/opt/venv/lib
COPY policies /files/etc/gateway/policies
COPY examples /files/srv/tool/examples
COPY streamlit_app.py /files/srv/tool/
# The modes of a working copy depend on somebody's umask; the image's do not.
RUN chmod -R u=rwX,go=rX /files

# --- assets: Streamlit's front end, compressed once here instead of at the first start of each container (40 s of
# --- processor time). It depends on the version of Streamlit, and on how the gateway compresses.
FROM dependencies AS assets
COPY --from=package /files /
RUN /opt/venv/bin/gateway assets build --dir /opt/gateway/assets

# --- the image ---
FROM ${PYTHON_IMAGE}

# Numeric, so that an orchestrator can see that it is not root. No program in the image gives its user more rights.
RUN groupadd --gid 10001 gateway \
 && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --no-log-init --shell /usr/sbin/nologin gateway \
 && install -d -m 0700 -o 10001 -g 10001 /var/lib/gateway \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} +

COPY --from=dependencies /opt/venv /opt/venv
COPY --from=package /files /
COPY --from=assets /opt/gateway/assets /opt/gateway/assets

# HOME is the one place besides the state where anything may be written. Streamlit looks there and in the working
# directory for its files; both are empty of them here.
# The operations listener answers on the container's own loopback only; the health check asks it.
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GATEWAY_STATE_DIR=/var/lib/gateway \
    GATEWAY_POLICIES=/etc/gateway/policies \
    GATEWAY_ASSETS__DIR=/opt/gateway/assets \
    GATEWAY_OPS__PORT=9901

ARG PYTHON_IMAGE
ARG VERSION=unknown
ARG REVISION=unknown
# Where this build's source can be had, if you publish it; we cannot know.
ARG SOURCE=
LABEL org.opencontainers.image.title="streamlit-gateway" \
      org.opencontainers.image.description="A hardened gateway around internal Streamlit tools: allow-list, policy as code, and an audit log, in process." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"

WORKDIR /srv/tool
USER 10001:10001
EXPOSE 8501
STOPSIGNAL SIGTERM

# No VOLUME for /var/lib/gateway, on purpose: it would be made without a name and thrown away with the container,
# and the record with it. Mount one that is kept.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["/opt/venv/bin/gateway", "health"]

# The bundled policy admits loopback only, and nobody is on the loopback of a container: mount your own policies
# over /etc/gateway/policies, and your tool over /srv/tool.
ENTRYPOINT ["/opt/venv/bin/gateway"]
CMD ["serve", "/srv/tool/streamlit_app.py", "--host", "0.0.0.0", "--port", "8501"]
