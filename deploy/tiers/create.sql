-- Run once, by Patroni, when the first of the two servers has made the database.
\set password `cat /run/mailapp/password`
CREATE ROLE mailapp LOGIN PASSWORD :'password';
CREATE DATABASE mailapp OWNER mailapp;
