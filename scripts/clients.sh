#!/usr/bin/env bash
# clients.sh: make the foreign clients of test/e2e available: kcat (librdkafka)
# from Debian's packages, and Apache Kafka's command line tools (Java) copied to
# a cache outside of the tree. What is there already stays.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/debian.sh

debian kcat kcat
debian chromium chromium fonts-dejavu-core
debian java openjdk-17-jre-headless
debian mvn maven

version=$(sed -n 's|.*<kafka.version>\(.*\)</kafka.version>.*|\1|p' test/e2e/java/pom.xml)
jars="${XDG_CACHE_HOME:-$HOME/.cache}/chronik-ci/kafka-$version"
if [ ! -d "$jars" ]; then
  echo "copying Apache Kafka $version's tools to $jars"
  # Into a directory of its own first: a copy that was interrupted is not found
  # half done by the next run.
  rm -rf "$jars.part"
  mvn -q -B -f test/e2e/java/pom.xml dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$jars.part"
  mv "$jars.part" "$jars"
fi

# Where the tests look, whatever the version.
ln -sfn "$jars" "${jars%/*}/kafka"

kcat -V 2>&1 | sed -n 's/^Version /kcat /p'
java -version 2>&1 | head -n 1
echo "kafka tools $version"
