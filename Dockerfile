# One image for every role: `picketd ingest`, `picketd store`, `picketd query`, and `picket migrate`.
# Needs nothing but the classic builder.
FROM debian:bookworm-slim AS build
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      gcc libc6-dev make pkg-config libmicrohttpd-dev libgnutls28-dev librdkafka-dev libpq-dev libjansson-dev \
      libsodium-dev libcurl4-gnutls-dev libyaml-dev zlib1g-dev libzstd-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Makefile ./
COPY wire wire
COPY runtime runtime
COPY agent agent
COPY ingest ingest
COPY store store
COPY query query
COPY programs programs
COPY migrations migrations
COPY dashboards dashboards
RUN make -j2 build && make install PREFIX=/usr DESTDIR=/out && strip /out/usr/bin/*

FROM debian:bookworm-slim
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      libmicrohttpd12 libgnutls30 librdkafka1 libpq5 libjansson4 libsodium23 libcurl3-gnutls libyaml-0-2 zlib1g libzstd1 \
      curl ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/picket --create-home --shell /usr/sbin/nologin picket \
 && mkdir -p /etc/picket && chown picket:picket /etc/picket
COPY --from=build /out/usr/ /usr/
COPY LICENSE /usr/share/doc/picket/LICENSE
USER picket
VOLUME ["/etc/picket"]
EXPOSE 8443 8440 9100
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=12 \
  CMD curl -fsS http://127.0.0.1:9100/readyz >/dev/null || exit 1
ENTRYPOINT ["/usr/bin/picketd"]
