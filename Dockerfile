# docker build --build-arg VERSION="$(git describe --tags --always)" -t walshift .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
ARG TARGETOS=linux
ARG TARGETARCH=amd64
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -buildvcs=false -trimpath -ldflags "-s -w -X main.version=${VERSION}" \
      -o /image/walshift ./cmd/walshift \
 && mkdir -p /image/etc/ssl/certs /image/etc/walshift /image-spool \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && echo 'walshift:x:65532:65532:walshift:/home/walshift:/sbin/nologin' >/image/etc/passwd \
 && echo 'walshift:x:65532:' >/image/etc/group

# The daemon, whom to trust, and who it is. No shell, no package manager, and
# one place to write to, which is a volume: so run it with a read-only root.
FROM scratch
ARG VERSION=unknown
LABEL org.opencontainers.image.title="walshift" \
      org.opencontainers.image.description="Keeps Amazon Redshift an exact, fresh copy of a PostgreSQL database" \
      org.opencontainers.image.source="https://github.com/walshift/walshift" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /image/ /
# Transactions in progress; nothing in it outlives the daemon.
COPY --from=build --chown=65532:65532 /image-spool/ /var/lib/walshift/
VOLUME ["/var/lib/walshift"]
USER 65532:65532
EXPOSE 9465
STOPSIGNAL SIGTERM
# Unhealthy when a loop hangs, never because PostgreSQL, S3 or Redshift is away.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["/walshift", "status", "--probe"]
ENTRYPOINT ["/walshift"]
CMD ["run"]
