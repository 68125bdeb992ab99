# syntax=docker/dockerfile:1
# The autoscaler's image. Two stages with one interpreter path; nothing is fetched at run time.
FROM python:3.13-slim-trixie AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements/runtime.txt requirements/build.txt requirements/
RUN python -m venv /opt/hk3s \
 && /opt/hk3s/bin/pip install --require-hashes -r requirements/runtime.txt \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY autoscaler autoscaler
COPY bootstrap bootstrap
COPY cloudinit cloudinit
COPY data data
COPY deploy/base deploy/base
COPY findings findings
COPY hetzner hetzner
COPY kube kube
COPY lab lab
# The wheel is built without isolation so that the build, too, takes only what is locked.
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/hk3s/bin/pip install --no-deps /wheels/*.whl \
 && /opt/hk3s/bin/python -m compileall -q /opt/hk3s/lib

FROM python:3.13-slim-trixie
RUN useradd --uid 65532 --no-create-home --shell /usr/sbin/nologin hk3s
COPY --from=build /opt/hk3s /opt/hk3s
ENV PATH=/opt/hk3s/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["hk3s-autoscaler"]
CMD ["run", "--help"]
