#!/bin/sh
# Starts a Redis server or a Sentinel (NAME says which) on a configuration that it can write: what
# Sentinels decide must be there after a restart. It is made at the first start.
set -eu
umask 077
cd /data
case $NAME in
sentinel-*)
    if [ ! -f sentinel.conf ]; then
        cat /etc/mailapp/sentinel.conf /run/mailapp/sentinel.conf |
            sed "s/REDIS_NETWORK/$REDIS_NETWORK/" > sentinel.new
        mv sentinel.new sentinel.conf
    fi
    exec redis-server /data/sentinel.conf --sentinel
    ;;
redis-*)
    if [ ! -f redis.conf ]; then
        echo "include /etc/mailapp/redis.conf" > redis.new
        [ "$NAME" = redis-1 ] || echo "replicaof $REDIS_NETWORK.11 6379" >> redis.new
        mv redis.new redis.conf
    fi
    exec redis-server /data/redis.conf
    ;;
esac
