# Head, routers and components on GPUs: docker build -f k8s/images/gpu.Dockerfile -t blended-gpu:0.1.0 .
# Ray's own image with ray[llm] and vLLM, of the Ray version that this package is made for.
ARG RAY_IMAGE=rayproject/ray-llm:2.60.0-py312-cu130

FROM ${RAY_IMAGE} AS build
WORKDIR /tmp/source
COPY --chown=1000:100 pyproject.toml README.md LICENSE ./
COPY --chown=1000:100 serve serve
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /tmp/wheel .

FROM ${RAY_IMAGE}
# KubeRay's probes need bash and wget.
USER root
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bash wget \
    && rm -rf /var/lib/apt/lists/*
USER 1000
COPY --from=build /tmp/wheel /tmp/wheel
# Ray and vLLM stay as they are in the image; the check fails if anything has moved them.
RUN python -m pip freeze --quiet | grep -iE "^(ray|vllm|torch)==" > /tmp/constraints.txt \
    && python -m pip install --no-cache-dir --constraint /tmp/constraints.txt /tmp/wheel/*.whl \
    && python -c "import blended.app, blended.router.deployment, ray.serve.llm"
USER root
RUN ln -s "$(command -v blended-haproxy)" /usr/local/bin/blended-haproxy
USER 1000
