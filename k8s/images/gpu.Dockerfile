# Head, routers and components on GPUs: docker build -f k8s/images/gpu.Dockerfile -t blended-gpu:0.1.0 .
# Ray's own image with ray[llm] and vLLM, of the Ray version that this package is made for.
# Give the base by its digest where the image is for production: --build-arg RAY_IMAGE=…@sha256:…
ARG RAY_IMAGE=rayproject/ray-llm:2.60.0-py312-cu130

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
COPY requirements-gpu.lock /tmp/
COPY --from=build /tmp/wheel /tmp/wheel
# The lock goes together with this Ray and vLLM, which stay as they are; the import finds what does not.
RUN python -m pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements-gpu.lock \
    && python -m pip install --no-cache-dir --no-deps /tmp/wheel/*.whl \
    && python -c "import blended.app, blended.router.deployment, ray.serve.llm"
USER root
RUN ln -s "$(command -v blended-haproxy)" /usr/local/bin/blended-haproxy
USER 1000
