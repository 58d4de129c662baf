#!/bin/sh
# Makes what compose.yaml mounts as secrets: random passwords under deploy/secrets/, one file each. What is there stays.
#   usage: [HOMEOSTAT_AGENTS=web-2,db-1] deploy/make-secrets.sh [directory]
#
# Compose mounts a secret's file as it is, and containers run as other users than the person at this shell. So the
# folder is closed to everybody else (0700), which keeps the files from other users of this machine, while each file
# itself can be read (0444) by whatever user runs in the container that it is mounted into. No root needed.
set -eu
umask 077

agents=$(printf %s "${HOMEOSTAT_AGENTS:-}" | tr ',' ' ')
services="detector diagnoser decider healer predictor optimizer learner gateway"
directory=${1:-"$(dirname -- "$0")/secrets"}
mkdir -p -- "$directory"
chmod 0700 -- "$directory"
made=0

random_hex() { # bytes
  od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'
}

secret() { # name
  file=$directory/$1
  if [ ! -s "$file" ]; then
    random_hex 24 >"$file.new"
    mv -f -- "$file.new" "$file"
    made=$((made + 1))
  fi
  chmod 0444 -- "$file"
}

for service in $services; do
  secret "postgres-$service"
  secret "nats-$service"
done
for name in postgres-admin nats-admin nats-publisher gateway-admin-token shop-postgres grafana-admin; do
  secret "$name"
done

nats_users="$services admin publisher"
for agent in $agents; do
  secret "nats-agent-$agent"
  nats_users="$nats_users agent-$agent"
done

# nats-server reads all passwords from one file, included by deploy/nats/nats.conf. Quoted: a bare word of digits with
# an `e` in it would be read as a number.
{
  for user in $nats_users; do
    variable=NATS_$(printf %s "$user" | tr '[:lower:]-' '[:upper:]_')_PASSWORD
    printf '%s: "%s"\n' "$variable" "$(cat -- "$directory/nats-$user")"
  done
} >"$directory/nats-passwords.conf.new"
chmod 0444 -- "$directory/nats-passwords.conf.new"
mv -f -- "$directory/nats-passwords.conf.new" "$directory/nats-passwords.conf"

echo "$made secrets made, the rest was there: $directory"
