# The worker's image. Debian 13 has libnode-dev itself (V8 11.3), so no private SDK is needed here.
# `cmake/prove-image.sh` runs these very steps without a container engine.

FROM debian:trixie-slim AS build
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      build-essential cmake ninja-build pkg-config ca-certificates npm \
      libnode-dev libhiredis-dev libssl-dev libevent-dev libjson-c-dev libcurl4-openssl-dev libexpat1-dev libseccomp-dev libinih-dev \
      libwebsockets-dev libuv1-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cmake --preset release -DBUILD_TESTING=OFF -DCMAKE_INSTALL_PREFIX=/usr/local -DCMAKE_COMPILE_WARNING_AS_ERROR=OFF \
 && cmake --build build/release --target all install-variant \
 && DESTDIR=/out cmake --install build/release --strip

FROM debian:trixie-slim
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      libnode115 libhiredis1.1.0 libevent-core-2.1-7t64 libevent-extra-2.1-7t64 libjson-c5 libcurl4t64 libexpat1 libinih1 \
      libwebsockets19t64 libwebsockets-evlib-uv libuv1t64 \
      ca-certificates \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin isoq
COPY --from=build /out/usr/local /usr/local
USER isoq
ENTRYPOINT ["isoq"]
CMD ["worker"]
