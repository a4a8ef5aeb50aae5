# Stands in for apache/kafka where no image registry is reachable: the jars that the tests use, the same user, folders and
# variables.
FROM debian:bookworm-slim
RUN groupadd -r appuser --gid=1000 && useradd -r -g appuser --uid=1000 --create-home --shell=/bin/bash appuser \
 && mkdir -p /usr/share/man/man1 \
 && apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless \
 && rm -rf /var/lib/apt/lists/*
COPY jars /opt/kafka/libs
COPY kafka.sh /etc/kafka/docker/run
RUN install -d -o appuser -g appuser /opt/kafka/config /opt/kafka/logs /var/lib/kafka/data
VOLUME /var/lib/kafka/data
USER appuser
EXPOSE 9092
CMD ["/etc/kafka/docker/run"]
