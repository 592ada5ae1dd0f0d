# For docker, podman and buildah (the latter two with --format docker, or HEALTHCHECK is left out).
# BASE needs Python >= 3.11 with venv and nothing else; nothing is compiled. From a mirror of your own:
#   docker build --build-arg BASE=mirror.example/library/python:3.12-slim -t streamwatch .
ARG BASE=docker.io/library/python:3.12-slim

FROM ${BASE} AS build
WORKDIR /opt/streamwatch/app
RUN ["python3", "-m", "venv", "/opt/streamwatch/venv"]
COPY requirements.txt ./
RUN ["/opt/streamwatch/venv/bin/python", "-m", "pip", "install", "--quiet", "--no-cache-dir", "--no-compile", \
     "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:", "-r", "requirements.txt"]
COPY LICENSE ./
COPY tools/link.py tools/link.py
COPY streamwatch streamwatch
# The root may be read-only at run time, so what Python would compile then is compiled now. Both use the same link as
# the work tree does, instead of a build that would need packages beyond the hashed ones.
RUN ["/opt/streamwatch/venv/bin/python", "tools/link.py"]
RUN ["/opt/streamwatch/venv/bin/python", "-m", "compileall", "-q", "-j0", "/opt/streamwatch"]
RUN ["mkdir", "-m", "0700", "/data"]

FROM ${BASE}
COPY --from=build /opt/streamwatch /opt/streamwatch
COPY --from=build --chown=10001:10001 /data /var/lib/streamwatch
ENV PATH=/opt/streamwatch/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/var/lib/streamwatch \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STREAMWATCH_DATA_DIR=/var/lib/streamwatch \
    STREAMWATCH_LISTEN=0.0.0.0:8080
USER 10001:10001
VOLUME ["/var/lib/streamwatch"]
EXPOSE 8080
STOPSIGNAL SIGTERM
# By the port of STREAMWATCH_LISTEN and past any proxy; the exit status is what counts.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "import http.client, os, sys; connection = http.client.HTTPConnection('127.0.0.1', int(os.environ['STREAMWATCH_LISTEN'].rpartition(':')[2]), timeout=4); connection.request('GET', '/healthz'); sys.exit(connection.getresponse().status != 200)"]
ENTRYPOINT ["streamwatch"]
CMD ["run"]
