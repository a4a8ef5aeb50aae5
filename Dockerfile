# One image for every role: `picketd ingest`, `picketd store`, `picketd query`, `picketd forward`; and `picket`, for setting up and
# operating. Needs nothing but the classic builder.
FROM debian:bookworm-slim AS build
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      gcc libc6-dev make pkg-config libmicrohttpd-dev libgnutls28-dev libmbedtls-dev librdkafka-dev libpq-dev libjansson-dev \
      libsodium-dev libcurl4-gnutls-dev libidn2-dev libyaml-dev libpcre2-dev zlib1g-dev libzstd-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# PREFIX is compiled in, so both calls have it.
RUN make -j2 PREFIX=/usr build && make PREFIX=/usr DESTDIR=/out install && strip /out/usr/bin/*

FROM debian:bookworm-slim
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      libmicrohttpd12 libgnutls30 libmbedtls14 librdkafka1 libpq5 libjansson4 libsodium23 libcurl3-gnutls libidn2-0 libyaml-0-2 libpcre2-8-0 zlib1g \
      libzstd1 curl ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --system --gid 10001 picket \
 && useradd --system --uid 10001 --gid picket --home-dir /var/lib/picket --create-home --shell /usr/sbin/nologin picket
# Where docker-compose.yml mounts what `picket setup secrets` makes: a new volume takes its owner from here. `picket`
# looks for its token in ./var.
RUN for reader in authority postgres ingest store query forward operator; do \
      install -d -o picket -g picket -m 711 /run/picket/$reader || exit 1; done \
 && ln -s /run/picket/operator /var/lib/picket/var
COPY --from=build /out/usr/ /usr/
COPY LICENSE /usr/share/doc/picket/LICENSE
USER 10001:10001
WORKDIR /var/lib/picket
EXPOSE 8443 8883 8440
# The port of the probes is closed unless it is set, as docker-compose.yml does for every role.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=6 \
  CMD curl -fsS "http://127.0.0.1:${PICKET_OPS_PORT:-9100}/readyz" >/dev/null || exit 1
ENTRYPOINT ["/usr/bin/picketd"]
