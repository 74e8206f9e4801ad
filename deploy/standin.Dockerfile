# The stand-in for Redshift, for deploy/compose.yaml.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -buildvcs=false -trimpath -o /rsstandin ./test/redshift/rsstandin

FROM scratch
COPY --from=build /rsstandin /rsstandin
USER 65532:65532
EXPOSE 5439
STOPSIGNAL SIGTERM
ENTRYPOINT ["/rsstandin"]
