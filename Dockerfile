# Every step that does something is a script under scripts/docker, which the tests run as well. The first stage
# installs a C compiler and compiles the hot modules; nothing of it is in the image.

FROM python:3.13-slim-bookworm AS build
COPY . /source
RUN /source/scripts/docker/build-wheel /source /wheels

FROM python:3.13-slim-bookworm
COPY scripts/docker/install scripts/docker/healthcheck /usr/local/libexec/tuhono/
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    /usr/local/libexec/tuhono/install /wheels /opt/tuhono
RUN useradd --system --uid 10001 --home-dir /var/lib/tuhono --create-home --shell /usr/sbin/nologin tuhono

# Registry, message log and, where none is given, the server's certificate: mount a volume that survives.
ENV TUHONO_DATA_DIR=/var/lib/tuhono \
    PATH=/opt/tuhono/bin:$PATH
VOLUME /var/lib/tuhono
USER 10001
WORKDIR /var/lib/tuhono

# MQTT, HTTP and CoAP over TLS and DTLS. Management (28443) listens on loopback unless told otherwise.
EXPOSE 8883 8443 5684/udp
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/usr/local/libexec/tuhono/healthcheck"]
ENTRYPOINT ["tuhono"]
CMD ["serve"]
