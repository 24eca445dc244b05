# The hub in a container. It runs without root, writes only to /data, and drains at `docker stop`.
#
#   docker build -t sse-hub .
#   docker run --rm -p 8000:8000 --read-only --cap-drop ALL --security-opt no-new-privileges -e SSE_JWT_KEY=… sse-hub
#
# With --workers (-e SSE_WORKERS=4), the workers need --tmpfs /tmp for their sockets.
#
# It listens at 0.0.0.0, so without a key clients may subscribe but not publish. Events outlive the container with
#   -v events:/data -e SSE_STORE=sqlite:/data/events.db
#
# .github/workflows/tests.yml builds the image and runs it. While this file was written, no Docker engine was available:
# the commands of RUN, HEALTHCHECK and ENTRYPOINT were run in an empty virtual environment.
FROM python:3.13-slim AS build
WORKDIR /source
COPY . .
RUN python -m venv /opt/hub && /opt/hub/bin/pip install --no-cache-dir '.[redis,speed,workers]'

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home hub && install -d -o hub /data
COPY --from=build /opt/hub /opt/hub
USER 10001
WORKDIR /data
VOLUME /data
ENV PATH=/opt/hub/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 SSE_HOST=0.0.0.0 SSE_NO_DEMO=1 SSE_LOG_FORMAT=json
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["sse-hub", "health"]
# The exec form, so that SIGTERM reaches the hub and not a shell. --drain is 10 s, and Docker waits 10 s, too. So stop the
# container with `docker stop --time 15`.
ENTRYPOINT ["sse-hub"]
