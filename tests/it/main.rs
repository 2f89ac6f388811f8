//! Every behaviour, through the front door, on SQLite + disk and on PostgreSQL + S3.

mod alone;
mod bucket_faults;
mod database;
mod database_faults;
mod disk_faults;
mod doctor;
mod download;
#[cfg(feature = "faults")]
mod faults;
mod fsck;
mod garage;
mod hang_ups;
mod idempotency;
mod manners;
mod model;
mod names;
mod openapi;
mod outages;
mod ownership;
mod power;
mod quota;
mod reaper;
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
mod tus;
mod types;
mod upload;
