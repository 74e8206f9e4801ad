# docker build --build-arg VERSION="$(git describe --tags --always)" -t walshift .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags "-s -w -X main.version=${VERSION}" \
      -o /image/walshift ./cmd/walshift \
 && mkdir -p /image/etc/ssl/certs /image/etc/walshift /image/lib/walshift \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && echo 'walshift:x:65532:65532:walshift:/var/lib/walshift:/sbin/nologin' >/image/etc/passwd \
 && echo 'walshift:x:65532:' >/image/etc/group

# No shell, no package manager: the daemon, whom to trust, and who it is.
FROM scratch
COPY --from=build /image/etc/ /etc/
COPY --from=build /image/walshift /walshift
# The spool, below a parent so that the folder itself changes hands too.
COPY --from=build --chown=65532:65532 /image/lib/ /var/lib/
USER 65532:65532
EXPOSE 9465
ENTRYPOINT ["/walshift"]
CMD ["run"]
