#!/bin/sh
# Optional, Debian and Ubuntu: what `npm run bench -- engine` needs to compile its rival, and the rival of `gateway`.
set -e
apt-get install --yes --no-install-recommends cmake g++ make git nginx
