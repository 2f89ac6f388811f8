//! Every behaviour, through the front door, on SQLite + disk and on PostgreSQL + S3.

#![allow(clippy::disallowed_methods, reason = "clippy.toml is about the server")]

mod access;
mod alone;
#[cfg(feature = "ui")]
mod browser;
mod bucket_faults;
mod clients;
mod database;
mod database_faults;
mod direct;
mod disk_faults;
mod doctor;
mod download;
mod erase;
mod events;
mod export;
#[cfg(feature = "faults")]
mod faults;
mod folders;
mod fsck;
mod garage;
mod hang_ups;
mod idempotency;
mod links;
mod manners;
mod model;
mod names;
mod nodes;
mod openapi;
mod outages;
mod ownership;
mod plans;
mod power;
mod quota;
mod reaper;
mod resume;
mod rooms;
mod sessions;
mod signed;
mod start;
mod store;
mod store_faults;
mod store_pieces;
mod support;
mod throttle;
mod tokens;
mod trash;
mod tus;
mod types;
mod upload;
mod words;
