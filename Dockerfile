# `serve` is the light installation with the log, `mlflow` adds MLflow's server. Neither contains a network or a clone:
# compose.yaml mounts yours. docs/serving.md says how to use them.

FROM python:3.11-slim-bookworm AS serve
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
# pip of the image is older than dependency groups; setuptools builds the package.
RUN python -m pip install --no-cache-dir pip==25.3 setuptools==84.2.1 \
    && python -m pip install --no-cache-dir -c constraints.txt --group serve-log \
    && python -m pip install --no-cache-dir --no-deps --no-build-isolation . \
    && useradd --uid 1000 convzoo
USER 1000
WORKDIR /zoo
EXPOSE 8000
CMD ["convzoo", "serve", "--host", "0.0.0.0"]

FROM serve AS mlflow
USER 0
RUN python -m pip install --no-cache-dir -c /build/constraints.txt mlflow==3.17.2
USER 1000
EXPOSE 5000
CMD ["convzoo", "ui", "--host", "0.0.0.0"]
