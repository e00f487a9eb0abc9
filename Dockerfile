# One image for every process of the product: the command says which. Built in two stages, so that what runs
# holds no compiler, no pip cache and no source tree.
ARG PYTHON=3.12-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/monitoring \
 && /opt/monitoring/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt '.[server]'

FROM python:${PYTHON}
# A user without a shell, whose number a volume's files keep on the host.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin monitoring \
 && install -d -o monitoring -g monitoring -m 0700 /data
COPY --from=build /opt/monitoring /opt/monitoring
ENV PATH=/opt/monitoring/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MONITORING_DATA_DIR=/data \
    MONITORING_HOST=0.0.0.0
USER monitoring
VOLUME /data
EXPOSE 8321
# Of `monitoring up` and `monitoring api`; compose switches it off for the other commands.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8321/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["monitoring"]
CMD ["up"]
