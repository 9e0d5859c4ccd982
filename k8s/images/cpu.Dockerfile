# Everything on CPUs, with the demo models: docker build -f k8s/images/cpu.Dockerfile -t blended-cpu:0.1.0 .
# Where pip does not find PyTorch's CPU build by itself, give it the index that has it:
# --build-arg PIP_EXTRA_INDEX_URL=…
# Give the base by its digest where the image is for production: --build-arg RAY_IMAGE=…@sha256:…
ARG RAY_IMAGE=rayproject/ray:2.60.0-py311-cpu

FROM ${RAY_IMAGE} AS build
WORKDIR /tmp/source
COPY --chown=1000:100 requirements-build.lock pyproject.toml README.md LICENSE ./
RUN python -m pip install --no-cache-dir --no-deps --require-hashes -r requirements-build.lock
COPY --chown=1000:100 serve serve
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /tmp/wheel .

FROM ${RAY_IMAGE}
# KubeRay's probes need bash and wget.
USER root
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bash wget \
    && rm -rf /var/lib/apt/lists/*
USER 1000
ARG PIP_EXTRA_INDEX_URL
COPY requirements-cpu.lock /tmp/
RUN python -m pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements-cpu.lock
COPY --from=build /tmp/wheel /tmp/wheel
RUN python -m pip install --no-cache-dir --no-deps /tmp/wheel/*.whl \
    && python -c "import blended.app, blended.router.deployment, ray.serve.llm"
USER root
RUN ln -s "$(command -v blended-haproxy)" /usr/local/bin/blended-haproxy
USER 1000
