#!/usr/bin/env bash
# peers.sh: make the servers that test/peers compares with available in a cache
# outside of the tree: Apache Kafka (Java) from Maven Central, NATS and what loads
# it built from the Go module test/peers/nats. What is there already stays.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/debian.sh

debian java openjdk-17-jre-headless
debian mvn maven
debian strace strace

version=$(sed -n 's|.*<kafka.version>\(.*\)</kafka.version>.*|\1|p' test/peers/java/pom.xml)
jars="${XDG_CACHE_HOME:-$HOME/.cache}/chronik-ci/kafka-server-$version"
if [ ! -d "$jars" ]; then
  echo "copying Apache Kafka $version to $jars"
  rm -rf "$jars.part"
  mvn -q -B -f test/peers/java/pom.xml dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$jars.part"
  mv "$jars.part" "$jars"
fi
ln -sfn "$jars" "${jars%/*}/kafka-server"
echo "Apache Kafka $version"

(cd test/peers/nats && go build -o "${jars%/*}/nats-server" github.com/nats-io/nats-server/v2 && go build -o "${jars%/*}/nats-load" .)
"${jars%/*}/nats-server" --version
