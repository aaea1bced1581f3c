# The whole environment of tinyflow: `docker build --tag tinyflow . && docker run --rm -it tinyflow`.
# Debian 12 has Python 3.11 and the cross compiler; setup.sh takes QEMU 10 from its backports.
FROM debian:12 AS machine
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git make python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*

# What an editor opens (.devcontainer/): the repository is mounted there, and `make setup` runs in it.
FROM machine AS all
WORKDIR /tinyflow
COPY . .
RUN make setup && rm -rf /var/lib/apt/lists/* /root/.cache
ENV PATH=/tinyflow/.venv/bin:$PATH
CMD ["bash"]
