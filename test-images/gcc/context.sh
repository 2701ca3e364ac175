#!/bin/sh
# context.sh OUT ARCH…: nothing; the Dockerfile asks the mirror of debian:12.
