#!/bin/sh
# Installs what Kiln needs on Debian or Ubuntu: npm packages (including Node 24), Debian packages
# and the bundle. Does not change what is installed already.
#   npm run setup            what a build needs: crun, libdeflate for fast gzip, nftables
#                            for the network of steps
#   npm run setup -- tests   also the programs that the tests use
set -eu
cd "$(dirname "$0")/.."
. scripts/lib.sh
setup_npm
setup_debian crun=crun /usr/lib/*/libdeflate.so.0=libdeflate0 nft=nftables
if [ "${1:-}" = tests ]; then
  setup_debian runc=runc skopeo=skopeo umoci=umoci buildah=buildah docker-registry=docker-registry \
    mmdebstrap=mmdebstrap qemu-aarch64-static=qemu-user-static git=git python3=python3-minimal \
    zstd=zstd xz=xz-utils bzip2=bzip2 slirp4netns=slirp4netns htpasswd=apache2-utils \
    sshd=openssh-server ssh-agent=openssh-client newuidmap=uidmap rpmbuild=rpm \
    busybox=busybox-static tmux=tmux podman=podman zsh=zsh fish=fish man=man-db \
    mkfs.vfat=dosfstools \
    chromium=chromium nats-server=nats-server faketime=faketime \
    /usr/lib/python3/dist-packages/docker/__init__.py=python3-docker \
    /usr/lib/python3/dist-packages/prometheus_client/parser.py=python3-prometheus-client
fi
setup_bundle
