#!/bin/sh
# Makes the secrets of docker-compose.yml in ./secrets, or in the folder that is named. What is there is kept.
# The files can be read by all, since containers read them under uids of their own; the folder only by its owner.
set -eu
folder=${1:-secrets}
mkdir -p "$folder"
chmod 700 "$folder"
umask 033

keep() { # NAME, with the content on standard input
    if [ -e "$folder/$1" ]; then cat >/dev/null; else cat >"$folder/$1"; fi
}

for name in postgres_password worker_password user_password valkey_password qdrant_key flower_password \
    metrics_password grafana_password; do
    head -c 48 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' | head -c 32 | keep "$name"
done
address() { printf 'postgresql+psycopg://%s:%s@%s/redraft' "$1" "$(cat "$folder/$2")" "$3"; }
address postgres postgres_password postgres:5432 | keep admin_url
address fleet worker_password postgres:5432 | keep worker_url
address person user_password 127.0.0.1:5432 | keep user_url
address observer metrics_password postgres:5432 | keep metrics_url
printf 'redis://:%s@valkey:6379/0' "$(cat "$folder/valkey_password")" | keep broker_url
echo "the secrets are in $folder; for the profile cloud, write your OpenAI key to $folder/openai_api_key (mode 644)"
