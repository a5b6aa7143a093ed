# One image with the three services and the supervisor; the command says which (deploy/k8s names one service a container). Without
# a command the supervisor runs all of them: docker run -e DATABASE_URL=… -e SLUICE_SECRET=… -p 3000:3000 sluice
FROM debian:bookworm-slim AS build
WORKDIR /src
COPY tools/install-deps tools/
RUN apt-get update && apt-get install -y --no-install-recommends make && tools/install-deps build
COPY . .
RUN make -j"$(nproc)" all && make install DESTDIR=/out PREFIX=/usr/local \
        && strip --strip-debug /out/usr/local/bin/*

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        ca-certificates libbrotli1 libh2o-evloop0.13 liblmdb0 libmsgpackc2 libnng1 libpg-query1504.0 libpq5 libprotobuf-c1 libssl3 libxxhash0 libzstd1 tzdata zlib1g \
        && rm -rf /var/lib/apt/lists/* \
        && install -d -o 10001 -g 10001 -m 700 /var/lib/sluice
COPY --from=build /out/ /
USER 10001:10001
ENV SLUICE_DATA_DIR=/var/lib/sluice
VOLUME /var/lib/sluice
EXPOSE 3000
CMD ["sluice-supervisor"]
